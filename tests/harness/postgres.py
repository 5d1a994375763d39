"""A PostgreSQL server of the tests' own, on a free loopback port, from the installed binaries."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

from app.store.engine import Database
from app.store.migrate import migrate
from tests.harness.process import free_port


def find_binaries() -> Path | None:
    """The newest version's directory; None if PostgreSQL is not installed."""
    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if candidates and (candidates[-1] / "initdb").exists():
        return candidates[-1]
    found = shutil.which("initdb")
    return Path(found).parent if found else None


class PostgresServer:
    """Durability is switched off where a test could not notice; `restart` and `kill` are for those that do."""

    def __init__(self, *settings: str) -> None:
        """Each of the `settings` is `name=value`, and stronger than those that it has for tests."""
        binaries = find_binaries()
        assert binaries is not None, "PostgreSQL is not installed"
        self._binaries = binaries
        self._directory = Path(tempfile.mkdtemp(prefix="baton-pg-"))
        self.port = free_port()
        self._user = unprivileged_user(self._directory)
        self._settings = settings
        self._databases = 0
        self._template: str | None = None

    def start(self) -> Self:
        data = self._directory / "data"
        if not data.exists():
            self._call("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        options = (
            f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=200"
            " -c fsync=off"
        ) + "".join(f" -c {setting}" for setting in self._settings)
        self._call("pg_ctl", "-D", data, "-w", "-l", self._directory / "log", "-o", options, "start")
        return self

    def stop(self, mode: str = "immediate") -> None:
        self._call("pg_ctl", "-D", self._directory / "data", "-w", "-m", mode, "stop")

    def log(self) -> str:
        """What the server has written about itself and its clients' mistakes."""
        return (self._directory / "log").read_text(errors="replace")

    def new_database(self, options: str = "") -> str:
        """The URL of an empty database, unless the options of CREATE DATABASE say otherwise."""
        self._databases += 1
        name = f"baton{self._databases}"
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} {options}".encode())
        return self._url(name)

    def migrated_database(self) -> str:
        """The URL of a database as `migrate` leaves it, which is done once."""
        if self._template is None:
            url = self.new_database()
            with closing(Database(url)) as database:
                migrate(database)
            self._template = url.rpartition("/")[2]
        return self.new_database(
            f"TEMPLATE {self._template} STRATEGY file_copy"
        )  # a third of the default's time

    def _url(self, name: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    def dump(self, url: str) -> str:
        """The database as SQL text that any role can load."""
        file = self._directory / "dump.sql"
        self._call("pg_dump", "--no-owner", "--no-privileges", "--inserts", "--file", file, url)
        return file.read_text()

    def _call(self, program: str, *arguments: object) -> None:
        command = [str(self._binaries / program), *map(str, arguments)]
        done = subprocess.run(
            command,
            user=self._user,
            cwd=self._directory,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert done.returncode == 0, f"{program} failed: {done.stderr}"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self._directory, ignore_errors=True)


def unprivileged_user(directory: Path) -> int | None:
    """PostgreSQL and PgBouncer refuse to run as root; one gets the directory and runs as its own user then."""
    if os.getuid() != 0:
        return None
    user = pwd.getpwnam("postgres")
    os.chown(directory, user.pw_uid, user.pw_gid)
    return user.pw_uid
