"""What befalls the servers and their database, one mishap after the other."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import threading
from collections.abc import Callable

from sqlalchemy import make_url

from tests.chaos.cluster import Cluster
from tests.chaos.notes import Notes
from tests.harness.postgres import PostgresServer
from tests.harness.process import BatonProcess


class Trouble:
    """Owned by one thread, which is the only one that stops and starts anything."""

    def __init__(
        self,
        cluster: Cluster,
        notes: Notes,
        chance: random.Random,
        over: threading.Event,
        database: PostgresServer | None,
    ) -> None:
        self._cluster = cluster
        self._notes = notes
        self._chance = chance
        self._over = over
        self._database = database

    def make(self) -> None:
        mishaps: list[tuple[Callable[[], None], int]] = [
            (self._kill, 4),
            (self._kill_worker, 3),
            (self._pause, 2),
            (self._take_the_database_away, 2),
        ]
        while not self._over.wait(self._chance.uniform(0.3, 1.5)):
            mishap = self._chance.choices([one for one, _ in mishaps], [weight for _, weight in mishaps])[0]
            mishap()

    def _server(self) -> BatonProcess:
        return self._chance.choice(self._cluster.servers)

    def _kill(self) -> None:
        server = self._server()
        server.kill()
        self._notes.count("trouble: kill -9")
        self._over.wait(self._chance.uniform(0, 0.5))
        server.start()

    def _kill_worker(self) -> None:
        """The master stays and starts another one."""
        self._notes.count("trouble: worker killed")
        server = self._server()
        for pid in server.worker_pids():
            os.kill(pid, signal.SIGKILL)

    def _pause(self) -> None:
        """Sometimes past its lease. Not in a transaction, or the whole database would pause."""
        server = self._server()
        self._cluster.pause(server)
        self._notes.count("trouble: paused")
        self._over.wait(self._chance.choice([0.5, 4.0]))
        self._cluster.go_on(server)

    def _take_the_database_away(self) -> None:
        if self._database is not None:
            self._notes.count("trouble: PostgreSQL restarted")
            self._database.stop()
            self._over.wait(self._chance.uniform(0, 1))
            self._database.start()
        elif make_url(self._cluster.database_url).get_backend_name() == "sqlite":
            self._notes.count("trouble: SQLite locked")
            self._lock_for(self._chance.uniform(0.1, 2))

    def _lock_for(self, seconds: float) -> None:
        path = str(make_url(self._cluster.database_url).database)
        connection = sqlite3.connect(path, timeout=10, isolation_level=None)
        try:
            connection.execute("BEGIN EXCLUSIVE")
            self._over.wait(seconds)
            connection.execute("ROLLBACK")
        finally:
            connection.close()
