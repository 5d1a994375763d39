"""A real nginx with the configuration that we deliver, as whoever runs the tests, on free loopback ports."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.harness.process import ROOT, eventually, free_port

DELIVERED = ROOT / "deploy" / "nginx.conf"

# A distribution's nginx.conf, reduced to the lines that an unprivileged one needs.
AROUND = """\
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log {directory}/error.log info;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    include {directory}/baton.conf;
}}
"""


def find_nginx() -> str | None:
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


class Nginx:
    """In front of the servers at `upstream_ports`. `path` serves them below a path, as the delivered file says
    how to; `body_limit` replaces the delivered one."""

    def __init__(
        self, directory: Path, *upstream_ports: int, path: str = "", body_limit: str | None = None
    ) -> None:
        self._directory = directory
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}{path}"
        (directory / "baton.conf").write_text(_adapted(self.port, upstream_ports, path, body_limit))
        (directory / "nginx.conf").write_text(AROUND.format(directory=directory))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Returns when it accepts connections."""
        binary = find_nginx()
        assert binary is not None, "nginx is not installed"
        with (self._directory / "output").open("wb") as output:
            self._process = subprocess.Popen(
                [binary, "-p", str(self._directory), "-c", str(self._directory / "nginx.conf")],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        eventually(self._accepts, "nginx listens")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(30)

    def _accepts(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._directory / "output").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def _adapted(port: int, upstream_ports: Sequence[int], path: str, body_limit: str | None) -> str:
    """The delivered file with other ports, and with what its comments tell the reader to change."""
    changes = [
        (r"listen 80;", f"listen 127.0.0.1:{port};"),
        (r"server 127\.0\.0\.1:8080( [^;]*;)", _servers(upstream_ports)),
    ]
    if path:
        changes += [
            (r"location / \{", f"location {path}/ {{"),
            (r"proxy_pass http://baton;", f"proxy_pass http://baton/; proxy_redirect / {path}/;"),
        ]
    if body_limit:
        changes.append((r"client_max_body_size \w+;", f"client_max_body_size {body_limit};"))
    text = DELIVERED.read_text()
    for pattern, replacement in changes:
        text, count = re.subn(rf"^(\s*){pattern}", rf"\g<1>{replacement}", text, flags=re.MULTILINE)
        assert count == 1, f"{pattern} stands {count} times in {DELIVERED.name}"
    return text


def _servers(ports: Sequence[int]) -> str:
    """A line for each, with the options of the delivered one."""
    return "".join(rf"server 127.0.0.1:{port}\g<2>" + "\n" for port in ports)
