"""Mishaps of the servers and their database, one after the other."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import threading
from collections.abc import Callable
from typing import Final

import psycopg
from sqlalchemy import make_url

from tests.chaos.cluster import LEASE_SECONDS, Cluster
from tests.chaos.notes import Notes
from tests.harness.postgres import PostgresServer
from tests.harness.process import BatonProcess

OUTAGES: Final = (0.1, 0.5, 1.0, LEASE_SECONDS + 1.5)
"""How long the database is away, in seconds: sometimes for longer than a lease."""

HOLDING_SECONDS: Final = 60.0
"""The longest that somebody else keeps rows locked, unless the round is over before."""


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
        self._holder: threading.Thread | None = None

    def make(self) -> None:
        mishaps: list[tuple[Callable[[], None], int]] = [
            (self._kill, 4),
            (self._kill_worker, 3),
            (self._pause, 2),
            (self._take_the_database_away, 2),
            (self._hold_rows, 1),
        ]
        while not self._over.wait(self._chance.uniform(0.3, 1.5)):
            mishap = self._chance.choices([one for one, _ in mishaps], [weight for _, weight in mishaps])[0]
            mishap()
        if self._holder is not None:
            self._holder.join()

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
            self._over.wait(self._chance.choice(OUTAGES))
            self._database.start()
        elif make_url(self._cluster.database_url).get_backend_name() == "sqlite":
            self._notes.count("trouble: SQLite locked")
            self._lock_for(self._chance.choice(OUTAGES))

    def _hold_rows(self) -> None:
        """Locks a few sessions' rows on PostgreSQL, as a host does that was lost in the middle of a transaction. Other
        mishaps go on meanwhile. On SQLite there are no locks of rows."""
        if self._database is None or (self._holder is not None and self._holder.is_alive()):
            return
        self._holder = threading.Thread(
            target=self._hold_rows_for,
            args=(
                self._chance.uniform(1, HOLDING_SECONDS),
                self._chance.randint(1, 3),
                self._chance.random(),
            ),
            name="holder of rows",
        )
        self._holder.start()

    def _hold_rows_for(self, seconds: float, count: int, salt: float) -> None:
        """Past whatever the server says of transactions that stand still: this one wants to. It ends early if the
        database goes away."""
        url = make_url(self._cluster.database_url).set(drivername="postgresql")
        try:
            with psycopg.connect(url.render_as_string(hide_password=False)) as connection:
                rows = "SELECT id FROM sessions ORDER BY md5(id || %s) LIMIT %s FOR UPDATE"
                connection.execute(rows, (str(salt), count))
                self._notes.count("trouble: rows held")
                self._over.wait(seconds)
                connection.rollback()
        except psycopg.OperationalError:
            self._notes.count("trouble: rows were let go when the database went away")

    def _lock_for(self, seconds: float) -> None:
        path = str(make_url(self._cluster.database_url).database)
        connection = sqlite3.connect(path, timeout=10, isolation_level=None)
        try:
            connection.execute("BEGIN EXCLUSIVE")
            self._over.wait(seconds)
            connection.execute("ROLLBACK")
        finally:
            connection.close()
