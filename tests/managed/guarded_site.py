"""A web server with a git repository that nobody gets without a token."""

from __future__ import annotations

import base64
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class GuardedSite(ThreadingHTTPServer):
    """`/bearer/…` takes the token as a bearer only, all else as a password. Those who have it are sent away from
    `/moved/…`, and told what they have sent at `/echo/…`. `looked` is called while git waits for an answer."""

    def __init__(self, project: Path, token: str, elsewhere: str = "") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.project = project
        self.token = token
        self.elsewhere = elsewhere
        self.asked: list[tuple[str, str]] = []  # the path, and what authorizes
        self.looked: Callable[[], None] = lambda: None

    @property
    def url(self) -> str:
        return f"http://localhost:{self.server_port}"

    def lets_in(self, kind: str, authorization: str) -> bool:
        if kind == "bearer":
            return authorization == f"Bearer {self.token}"
        scheme, _, pair = authorization.partition(" ")
        return scheme == "Basic" and base64.b64decode(pair).decode().partition(":")[2] == self.token


class _Handler(BaseHTTPRequestHandler):
    server: GuardedSite
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        self._serve(self.rfile.read(int(self.headers["Content-Length"])))

    def _serve(self, body: bytes) -> None:
        authorization = self.headers.get("Authorization", "")
        self.server.asked.append((self.path, authorization))
        self.server.looked()
        kind, _, rest = self.path[1:].partition("/")
        if not self.server.lets_in(kind, authorization):
            scheme = "Bearer" if kind == "bearer" else 'Basic realm="git"'
            self._answer(401, {"WWW-Authenticate": scheme})
        elif kind == "moved":
            self._answer(302, {"Location": f"{self.server.elsewhere}/{rest}"})
        elif kind == "echo":
            self._answer(403, {"Content-Type": "text/plain"}, f"you have sent {authorization}".encode())
        else:
            self._run_git(f"/{rest}", body)

    def _run_git(self, rest: str, body: bytes) -> None:
        path, _, query = rest.partition("?")
        variables = {
            "PATH": "/usr/bin:/bin",
            "GIT_PROJECT_ROOT": str(self.server.project),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
        }
        done = subprocess.run(
            ["git", "http-backend"], input=body, env=variables, capture_output=True, check=True
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        chunk = b"%x\r\n%b\r\n" % (len(content), content) if content else b""
        status = int(headers.pop("Status", "200")[:3])
        self._answer(status, {**headers, "Transfer-Encoding": "chunked"}, chunk + b"0\r\n\r\n")

    def _answer(self, status: int, headers: dict[str, str], content: bytes = b"") -> None:
        self.send_response(status)
        if "Transfer-Encoding" not in headers:
            headers["Content-Length"] = str(len(content))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Tests are quiet."""


@contextmanager
def guarded_site(project: Path, token: str, elsewhere: str = "") -> Iterator[GuardedSite]:
    with GuardedSite(project, token, elsewhere) as site:
        thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield site
        site.shutdown()
        thread.join()
