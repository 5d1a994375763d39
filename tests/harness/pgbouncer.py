"""A PgBouncer of the tests' own in front of a PostgreSQL of theirs, on a free loopback port."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self
from urllib.parse import urlsplit

from tests.harness.postgres import unprivileged_user
from tests.harness.process import eventually, free_port

_SETTINGS: Final = """\
[databases]
* = host={host} port={port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own_port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = {mode}
"""


def find_pgbouncer() -> str | None:
    return shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")


class PgBouncer:
    """`url` is the one of the database behind it, by way of this pooler."""

    def __init__(self, behind: str, *, mode: Literal["session", "transaction"]) -> None:
        address = urlsplit(behind)
        self._port = free_port()
        self.url = behind.replace(f":{address.port}/", f":{self._port}/")
        self._directory = Path(tempfile.mkdtemp(prefix="baton-pgbouncer-"))
        users = self._directory / "users.txt"
        users.write_text(f'"{address.username}" ""\n')
        where = {"host": address.hostname, "port": address.port, "own_port": self._port}
        (self._directory / "settings.ini").write_text(_SETTINGS.format(**where, users=users, mode=mode))

    def __enter__(self) -> Self:
        program = find_pgbouncer()
        assert program is not None, "PgBouncer is not installed"
        command = [program, "--quiet", str(self._directory / "settings.ini")]
        user = unprivileged_user(self._directory)
        self._process = subprocess.Popen(command, user=user, stderr=subprocess.DEVNULL)
        eventually(self._answers, "PgBouncer listens")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._directory)

    def _answers(self) -> bool:
        assert self._process.poll() is None, "PgBouncer has exited"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0
