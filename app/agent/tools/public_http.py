"""HTTP that reaches public addresses only, and that can be cut off at any moment.

The address is checked where the connection is made, so what was checked is what is connected to: a redirect,
or a name that resolves to something else the second time, goes through the same gate.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, NewConnectionError

from app.agent.model_client import Cancellation
from app.agent.tools.public_addresses import is_public

_ASCII: Final = "".join(map(chr, range(0x21, 0x7F)))


MOST_SECONDS: Final = 86_400.0
"""A socket takes no timeout of more than some weeks."""


class AddressRefused(Exception):
    """The host is, or has, an address that is not on the public internet."""


Check = Callable[[str, str], None]
"""Raises AddressRefused for a host, by its name, and one of its addresses."""


class NoThread(OSError):
    """The system has no thread for the deadline; nothing was sent."""


class Line:
    """The connections of one piece of work, with its deadline. `cut` may be called from any thread.

    `has_sent`: a request, or its beginning, has left since this was last set to False. A socket is known by a
    duplicate, as TLS takes the original away.
    """

    def __init__(self, seconds: float, *, allow_private: bool, check: Check | None = None) -> None:
        self._deadline = time.monotonic() + seconds
        self._allow_private = allow_private
        self._check = check
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self.is_cut = False
        self.has_sent = False

    @property
    def seconds_left(self) -> float:
        return max(0.001, self._deadline - time.monotonic())

    @property
    def is_late(self) -> bool:
        return time.monotonic() >= self._deadline

    def connect(self, host: str, port: int) -> socket.socket:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
        for *_, address in found:
            if not self._allow_private and not is_public(str(address[0])):
                raise AddressRefused(f"{host} is not a public address")
            if self._check is not None:
                self._check(host, str(address[0]))
        problem: OSError = OSError(f"{host} has no address")
        for family, kind, protocol, _, address in found:
            try:
                return self._open(family, kind, protocol, address)
            except OSError as error:
                problem = error
        raise problem

    def cut(self) -> None:
        """Ends every connection; whoever reads or writes fails at once. No new one is made."""
        with self._lock:
            self.is_cut = True
            for sock in self._sockets:
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # not connected yet, or not any more

    def close(self) -> None:
        self.cut()
        for sock in self._sockets:
            sock.close()

    def _open(self, family: int, kind: int, protocol: int, address: Any) -> socket.socket:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(self.seconds_left)
            with self._lock:
                if self.is_cut:
                    raise OSError("the connection was cut")
                self._sockets.append(sock.dup())
            sock.connect(address)
        except BaseException:
            sock.close()
            raise
        return sock


@contextmanager
def open_session(
    seconds: float,
    *,
    cancellation: Cancellation,
    allow_private: bool,
    headers: Mapping[str, str],
    check: Check | None = None,
) -> Iterator[tuple[requests.Session, Line]]:
    """A session for one piece of work that takes at most `seconds` in total, and ends on a cancel. Raises NoThread.

    Neither proxies nor .netrc of the server's surroundings are used: a proxy would make the connection in
    our place, and unchecked.
    """
    seconds = min(seconds, MOST_SECONDS)
    line = Line(seconds, allow_private=allow_private, check=check)
    timer = threading.Timer(seconds, line.cut)
    timer.daemon = True
    try:
        timer.start()
    except RuntimeError as error:
        raise NoThread("the server can't start another thread") from error
    try:
        with requests.Session() as session:
            session.trust_env = False
            session.headers.update(headers)
            session.mount("http://", _Adapter(line))
            session.mount("https://", _Adapter(line))
            with cancellation.calling(line.cut):
                yield session, line
    finally:
        timer.cancel()
        timer.join()
        line.close()


class _Adapter(HTTPAdapter):
    """Has requests make its connections through a line."""

    def __init__(self, line: Line) -> None:
        self._line = line
        super().__init__(max_retries=0)

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        kind = _TlsConnection if pool.scheme == "https" else _Connection
        pool.ConnectionCls = type(kind.__name__, (kind,), {"line": self._line})
        return pool

    def build_response(self, req: Any, resp: Any) -> requests.Response:
        """Encodes the address of a redirect that is not ASCII. requests takes it for UTF-8, and where it is none,
        breaks off with the connection open."""
        response = super().build_response(req, resp)
        target = response.headers.get("Location", "")
        if not target.isascii():
            response.headers["Location"] = quote(target.encode("latin-1", "replace"), safe=_ASCII)
        return response


class _Connection(HTTPConnection):
    line: Line

    def _new_conn(self) -> socket.socket:
        return _connected(self, self.line)

    def send(self, data: Any) -> None:
        _send(self, self.line, data, super().send)


class _TlsConnection(HTTPSConnection):
    line: Line

    def _new_conn(self) -> socket.socket:
        return _connected(self, self.line)

    def send(self, data: Any) -> None:
        _send(self, self.line, data, super().send)


def _send(connection: HTTPConnection, line: Line, data: Any, send: Callable[[Any], None]) -> None:
    """Connects first, so that what fails then has certainly not been sent."""
    if connection.sock is None:
        connection.connect()
    line.has_sent = True
    send(data)


def _connected(connection: HTTPConnection, line: Line) -> socket.socket:
    try:
        return line.connect(connection.host, connection.port or connection.default_port)
    except (OSError, UnicodeError) as error:
        raise NewConnectionError(connection, str(error)) from error


def innermost_reason(error: BaseException) -> str:
    """The innermost cause in words: the outer ones are about pools and retries."""
    while isinstance(inner := error.__cause__ or error.__context__, OSError | HTTPError | ValueError):
        error = inner
    return str(error) or type(error).__name__
