"""Stands between git and the server of one repository, and puts the token into requests on their way.

Other processes of the same user can look into git, which is one that runs a program of its own; into this one they
can't. git therefore never has the token: it is told an address on loopback, and a password that is good for this clone.
"""

from __future__ import annotations

import base64
import re
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hmac import compare_digest
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any, Final

import requests
from urllib3.exceptions import HTTPError

from app.agent.tools.public_http import AddressRefused, Line, NoThread, innermost_reason, open_session
from app.agent.tools.run_facts import NeverCancelled

MOST_SENT: Final = 64 << 20
"""Bytes of a request of git's: it names what it wants to have."""

_CHUNK: Final = 65_536
_IDLE_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.02
_ROOT: Final = "/repository"
_USER: Final = "x-access-token"
_READING: Final = re.compile(
    rf"{_ROOT}(/info/refs(\?service=git-upload-pack)?|/HEAD|/objects/(?!.*\.\.)[0-9A-Za-z/._-]+)"
)
_FETCHING: Final = f"{_ROOT}/git-upload-pack"
_SENT_ON: Final = (
    "Accept",
    "Accept-Encoding",
    "Content-Type",
    "Content-Encoding",
    "Git-Protocol",
    "User-Agent",
)
_SENT_BACK: Final = ("Content-Type", "Content-Encoding", "Content-Length")


class Relay:
    """`settings` and `variables` lead git here. `problem`: why the repository's server could not be asked; empty if it
    could. Any thread may call it."""

    def __init__(self, url: str, token: str, session: requests.Session, line: Line) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._session = session
        self._line = line
        pair = base64.b64encode(f"{_USER}:{token}".encode()).decode()
        self._authorization = f"Basic {pair}"
        self._password = f"Bearer {secrets.token_urlsafe(32)}"
        self.problem = ""
        self.server: Final = _Server(self)
        self.address: Final = f"http://127.0.0.1:{self.server.server_address[1]}{_ROOT}"
        self.settings: Final[Sequence[str]] = (
            f"url.{self.address}.insteadOf={url}",
            f"http.postBuffer={MOST_SENT}",  # what is longer would have no length
        )
        self.variables: Final[Mapping[str, str]] = {
            "GIT_ALLOW_PROTOCOL": "http",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "http.extraHeader",
            "GIT_CONFIG_VALUE_0": f"Authorization: {self._password}",
        }

    def lets_in(self, authorization: str) -> bool:
        return compare_digest(authorization.encode(), self._password.encode())

    def asked(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None
    ) -> requests.Response:
        """The answer of the repository's server, to be closed. A server that takes only a bearer is given one."""
        response = self._sent(method, path, headers, body)
        challenge = response.headers.get("WWW-Authenticate", "").casefold()
        if response.status_code == HTTPStatus.UNAUTHORIZED and challenge.startswith("bearer"):
            response.close()
            self._authorization = f"Bearer {self._token}"
            response = self._sent(method, path, headers, body)
        return response

    def _sent(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None
    ) -> requests.Response:
        return self._session.request(
            method,
            self._url + path.removeprefix(_ROOT),
            headers={**headers, "Authorization": self._authorization},
            data=body,
            stream=True,
            allow_redirects=False,
            timeout=self._line.seconds_left,
        )


class _Server(ThreadingTCPServer):
    daemon_threads = True  # nobody waits for a stranger who has connected and does not go

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """git was ended, or is no git: nobody has to hear of it."""


class _Handler(BaseHTTPRequestHandler):
    """Passes on requests that read the repository, and no others. The body of a failure is left out."""

    server: _Server
    timeout = _IDLE_SECONDS

    def do_GET(self) -> None:
        self._pass_on(None, allowed=_READING.fullmatch(self.path) is not None)

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        is_sound = length.isascii() and length.isdigit() and int(length) <= MOST_SENT
        allowed = is_sound and self.path == _FETCHING and self._is_git
        self._pass_on(self.rfile.read(int(length)) if allowed else None, allowed=allowed)

    @property
    def _is_git(self) -> bool:
        return self.server.relay.lets_in(self.headers.get("Authorization", ""))

    def _pass_on(self, body: bytes | None, *, allowed: bool) -> None:
        if not allowed or not self._is_git:
            self._answer(HTTPStatus.FORBIDDEN)
            return
        headers = {name: self.headers[name] for name in _SENT_ON if name in self.headers}
        try:
            response = self.server.relay.asked(self.command, self.path, headers, body)
        except (AddressRefused, requests.RequestException, HTTPError, OSError, ValueError) as error:
            self.server.relay.problem = innermost_reason(error)
            self._answer(HTTPStatus.BAD_GATEWAY)
            return
        with response:
            if response.status_code != HTTPStatus.OK:
                self._answer(response.status_code)
                return
            self._answer(
                HTTPStatus.OK, [(n, response.headers[n]) for n in _SENT_BACK if n in response.headers]
            )
            while piece := response.raw.read(_CHUNK, decode_content=False):
                self.wfile.write(piece)

    def _answer(self, status: int, headers: Sequence[tuple[str, str]] = (("Content-Length", "0"),)) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *_: object) -> None:
        """git says what has failed."""


@contextmanager
def relay(url: str, token: str, *, seconds: float, allows: Callable[[str], bool]) -> Iterator[Relay]:
    """For one clone, which may take so many seconds. `allows`: may this address be connected to? NoThread."""

    def check(host: str, address: str) -> None:
        if not allows(address):
            raise AddressRefused(f"{host} is not a public address")

    with open_session(
        seconds, cancellation=NeverCancelled(), allow_private=True, headers={}, check=check
    ) as (session, line):
        made = Relay(url, token, session, line)
        with made.server as server:
            thread = threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,), name="git-relay")
            try:
                thread.start()
            except RuntimeError as error:
                raise NoThread("the server can't start another thread") from error
            try:
                yield made
            finally:
                line.cut()
                server.shutdown()
                thread.join()
