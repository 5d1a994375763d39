"""Several servers on one database: killed, restarted, paused; and a view of the rows past all of them."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from sqlalchemy import make_url, select

from app.errors import StoreUnavailable
from app.store.engine import Database
from app.store.migrate import migrate
from app.store.store import Store
from app.store.tables import (
    event_segments,
    messages,
    queued_messages,
    runs,
    sessions,
    tool_calls,
)
from tests.conftest import AGENTS
from tests.harness.fork_server import DESCRIPTORS, WRONG_BY
from tests.harness.process import BatonProcess, eventually
from tests.harness.wire import Client, in_parallel

TABLES = (sessions, messages, runs, tool_calls, queued_messages, event_segments)

LEASE_SECONDS: Final = 3

CLOCKS: Final = (-1800, 1800)
"""By how many seconds the servers' clocks are wrong: the hosts of two are an hour apart."""

APPROVAL_SECONDS: Final = 600
"""No question is open for so long, so none expires by a clock that is right."""


class Cluster:
    """The servers share a directory in memory, so that a busy disk is no part of what is tested. Each has few
    descriptors, and a clock of its own."""

    def __init__(self, *, size: int, model_url: str, database_url: str = "", **settings: str) -> None:
        memory = Path("/dev/shm")
        self.directory = Path(tempfile.mkdtemp(prefix="baton-", dir=memory if memory.is_dir() else None))
        self.marks = self.directory / "marks"  # where tools leave a trace
        self.database_url = database_url or f"sqlite:///{self.directory / 'baton.db'}"
        self.servers = [
            BatonProcess(
                self.directory,
                model_url=model_url,
                agents=AGENTS,
                database_url=self.database_url,
                settings={
                    "BATON_LEASE_SECONDS": str(LEASE_SECONDS),
                    "BATON_APPROVAL_SECONDS": str(APPROVAL_SECONDS),
                    WRONG_BY: str(CLOCKS[number % len(CLOCKS)]),
                    DESCRIPTORS: "256",
                    "BATON_MAX_STREAMS": "30",  # which that many descriptors are enough for
                    **settings,
                },
            )
            for number in range(size)
        ]
        database = Database(self.database_url)
        migrate(database)
        self.store = Store(database, lease_seconds=LEASE_SECONDS)

    def __enter__(self) -> Self:
        try:
            in_parallel([server.start for server in self.servers])
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self.servers:
            server.kill()
        self.store.database.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    @contextmanager
    def clients(self) -> Iterator[list[Client]]:
        """One for each server."""
        clients = [Client(server.url) for server in self.servers]
        try:
            yield clients
        finally:
            for client in clients:
                client.close()

    def rows(self, session_id: str) -> list[Any]:
        """Everything the database knows of a session."""
        with self.store.database.reading() as connection:
            return [
                connection.execute(select(table).where(_session_column(table) == session_id)).all()
                for table in TABLES
            ]

    def pause(self, server: BatonProcess) -> None:
        """Stops all of a server's threads at once, but not inside a transaction: that would stop the database
        for everybody, which is another experiment."""
        server.signal_all(signal.SIGSTOP)
        while not self._nobody_writes():
            server.signal_all(signal.SIGCONT)
            eventually(self._nobody_writes, "the transaction has ended")
            server.signal_all(signal.SIGSTOP)

    def go_on(self, server: BatonProcess) -> None:
        server.signal_all(signal.SIGCONT)

    def _nobody_writes(self) -> bool:
        url = make_url(self.database_url)
        if url.get_backend_name() == "sqlite":
            connection = sqlite3.connect(str(url.database), timeout=0, isolation_level=None)
            try:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
            except sqlite3.OperationalError:
                return False
            finally:
                connection.close()
            return True
        try:
            with self.store.database.writing() as transaction:
                transaction.execute(select(runs.c.id).with_for_update(nowait=True)).all()
                transaction.execute(select(sessions.c.id).with_for_update(nowait=True)).all()
        except StoreUnavailable:
            return False
        return True


def _session_column(table: Any) -> Any:
    return table.c.id if table is sessions else table.c.session_id
