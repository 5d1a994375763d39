"""Ways to an endpoint: straight or through a proxy, from a name to a connection that can be spoken on."""

from __future__ import annotations

import base64
import errno
import os
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.request import getproxies_environment, proxy_bypass

import httpx2

from app.agent.anthropic.http.framing import ProtocolError, request_head
from app.agent.anthropic.http.interrupt import Interrupt
from app.agent.anthropic.http.socket_connection import SocketConnection
from app.io_wait import WRITABLE, is_ready

_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}

# No firewall shall forget a connection that is idle while a tool runs, and nobody wait for a dead peer.
_SOCKET_OPTIONS: Final = (
    (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
    (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 60),
    (socket.IPPROTO_TCP, "TCP_KEEPALIVE", 60),  # what macOS calls it
    (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 60),
    (socket.IPPROTO_TCP, "TCP_KEEPCNT", 5),
    (socket.IPPROTO_TCP, "TCP_NODELAY", 1),
)


@dataclass(frozen=True, slots=True)
class Route:
    """Connections of equal routes can stand in for each other."""

    scheme: str
    host: str
    port: int
    proxy: str = ""

    @classmethod
    def to(cls, url: httpx2.URL) -> Route:
        """By the usual variables: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY. The system's own settings are not
        asked: on macOS that can crash a process that was forked."""
        if url.scheme not in _PORTS:
            raise httpx2.UnsupportedProtocol(f"not an HTTP address: {url}")
        host, port = url.raw_host.decode("ascii"), url.port or _PORTS[url.scheme]
        proxies = getproxies_environment()
        proxy = proxies.get(url.scheme) or proxies.get("all") or ""
        if not proxy or proxy_bypass(f"{host}:{port}"):
            return cls(url.scheme, host, port)
        return cls(url.scheme, host, port, proxy if "://" in proxy else f"http://{proxy}")

    def target(self, url: httpx2.URL) -> bytes:
        """The target in the request's first line: a proxy that forwards needs the whole address."""
        if self.proxy and self.scheme == "http":
            return str(url.copy_with(fragment=None)).encode("ascii")
        return url.raw_path

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers that a request needs besides its own."""
        return _proxy_authorization(httpx2.URL(self.proxy)) if self.proxy and self.scheme == "http" else []


def connect(
    route: Route, timeout: float | None, tls: Callable[[], ssl.SSLContext], interrupt: Interrupt
) -> SocketConnection:
    """A new connection, watched by the interrupt. `timeout` is for each wait on the way."""
    if not route.proxy:
        connection = _dial(route.host, route.port, timeout, interrupt)
    else:
        connection = _dial_proxy(httpx2.URL(route.proxy), route, timeout, tls, interrupt)
    with interrupt.closing_on_error(connection):
        if route.scheme == "https":
            connection.start_tls(tls(), route.host)
    return connection


def _dial_proxy(
    proxy: httpx2.URL,
    route: Route,
    timeout: float | None,
    tls: Callable[[], ssl.SSLContext],
    interrupt: Interrupt,
) -> SocketConnection:
    if proxy.scheme not in _PORTS:
        raise httpx2.UnsupportedProtocol(f"a proxy must be reached by http or https, not {proxy.scheme}")
    port = proxy.port or _PORTS[proxy.scheme]
    connection = _dial(proxy.raw_host.decode("ascii"), port, timeout, interrupt)
    with interrupt.closing_on_error(connection):
        if proxy.scheme == "https":
            connection.start_tls(tls(), proxy.host)
        if route.scheme == "https":
            _open_tunnel(connection, proxy, route)
    return connection


def _open_tunnel(connection: SocketConnection, proxy: httpx2.URL, route: Route) -> None:
    host = f"[{route.host}]" if ":" in route.host else route.host
    target = f"{host}:{route.port}".encode("ascii")
    connection.send(request_head(b"CONNECT", target, [(b"Host", target), *_proxy_authorization(proxy)]))
    try:
        head, rest = connection.receive_head()
    except ProtocolError as error:
        raise httpx2.ProxyError(str(error)) from error
    if not 200 <= head.status < 300 or rest:
        reason = head.reason.decode("latin-1")
        raise httpx2.ProxyError(f"the proxy does not connect: {head.status} {reason}".rstrip())


def _proxy_authorization(proxy: httpx2.URL) -> list[tuple[bytes, bytes]]:
    if not proxy.username:
        return []
    secret = base64.b64encode(f"{proxy.username}:{proxy.password}".encode())
    return [(b"Proxy-Authorization", b"Basic " + secret)]


def _dial(host: str, port: int, timeout: float | None, interrupt: Interrupt) -> SocketConnection:
    """The first of the host's addresses that answers."""
    failure: OSError | None = None
    for family, kind, protocol, _, address in _resolve(host, port, timeout, interrupt):
        plain = socket.socket(family, kind, protocol)
        try:
            with interrupt.closing_on_error(plain):
                _connect(plain, address, timeout, interrupt)
                connection = SocketConnection(plain)
                connection.wait_at_most(timeout)
            return connection
        except OSError as error:
            failure = error
    if isinstance(failure, TimeoutError):
        raise httpx2.ConnectTimeout(f"no connection with {host} in time") from failure
    raise httpx2.ConnectError(f"no connection with {host}: {failure}") from failure


def _connect(plain: socket.socket, address: Any, timeout: float | None, interrupt: Interrupt) -> None:
    for level, name, value in _SOCKET_OPTIONS:
        if hasattr(socket, name):  # not every system knows every one
            plain.setsockopt(level, getattr(socket, name), value)
    plain.setblocking(False)
    code = plain.connect_ex(address)
    interrupt.watch(plain)  # not earlier: a socket that does not connect yet can't be shut down
    if code == errno.EINPROGRESS:
        if not is_ready(plain, WRITABLE, within=timeout):
            raise TimeoutError
        code = plain.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        interrupt.watch(plain)  # once shut down it may look connected
    if code:
        raise OSError(code, os.strerror(code))


def _resolve(host: str, port: int, timeout: float | None, interrupt: Interrupt) -> list[Any]:
    """The host's addresses. The system's look-up may hang for as long as it likes and can't be called back; it
    therefore gets a thread of its own, and we wait on a socket as everywhere else."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        pass
    ours, theirs = socket.socketpair()
    found: list[Any] = []
    try:
        threading.Thread(target=_look_up, args=(host, port, found, theirs), daemon=True).start()
    except RuntimeError as error:
        ours.close()
        theirs.close()
        raise httpx2.ConnectError(f"the name {host} can't be resolved: {error}") from error
    try:
        interrupt.watch(ours)
        ours.settimeout(timeout)
        ours.recv(1)
    except TimeoutError as error:
        raise httpx2.ConnectTimeout(f"the name {host} was not resolved in time") from error
    finally:
        interrupt.release()
        ours.close()
    if found and isinstance(found[0], OSError):
        raise httpx2.ConnectError(f"the name {host} can't be resolved: {found[0]}") from found[0]
    return found


def _look_up(host: str, port: int, found: list[Any], done: socket.socket) -> None:
    with done:  # closing it is the sign
        try:
            found.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except OSError as error:
            found.append(error)
