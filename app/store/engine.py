"""Transactions on SQLite and PostgreSQL, and everything in which the two differ, except how one connects to them."""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal

from sqlalchemy import Connection, make_url, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from app.errors import StoreUnavailable
from app.store.clock import now
from app.store.drivers import BUSY_SECONDS, SYNCHRONOUS, WRITING, postgresql_engine, sqlite_engine

CONNECTIONS: Final = 16
"""The most that one process has open for its threads to share."""

OWN_CONNECTIONS: Final = 2
"""And those that one thread has to itself: one listens, one renews leases."""

LISTEN_SECONDS: Final = 0.25
"""Poll interval at which a listening thread looks whether it should stop."""


SHORTEST_PATIENCE: Final = 2.0
"""Seconds; a busy machine may stop a healthy process for a moment. Less than the shortest lease that can be set."""

Kind = Literal["read", "write"]

Observe = Callable[[Kind, float, bool], None]
"""Told what kind of transaction it was, how many seconds it took, and whether the database failed."""


class Database:
    """The connections of one process; make it after the fork.

    SQLite takes one writer at a time. The writers of this process queue for the one writing connection,
    which costs nothing, instead of polling the file's lock, and read on connections of their own.
    """

    def __init__(
        self,
        url: str,
        *,
        connections: int = CONNECTIONS,
        lease_seconds: float = 30.0,
        observe: Observe | None = None,
        durable: bool = True,
    ) -> None:
        """PostgreSQL ends a transaction that does nothing for half of `lease_seconds`, and a connection whose other
        end is gone: neither keeps a row locked until other holders' leases run out. `observe` is told of each
        transaction when it is over, on its thread. Without `durable` a commit waits for no disk: a breakdown of the
        database's machine, and nothing less, may undo the last ones."""
        self._url = url
        self._lease_seconds = lease_seconds
        self._siblings: list[Database] = []
        self.announces = False
        """Is it wanted that what happens is written down for webhooks, too?"""
        self._observe = observe
        self._sqlite = make_url(url).get_backend_name() == "sqlite"
        if self._sqlite:
            self._writer = sqlite_engine(url, WRITING, size=1, durable=durable)
            self._writer = self._writer.execution_options(database=self)
            self._single = self._reader = sqlite_engine(url, "BEGIN", size=connections)
        else:
            self._writer = self._reader = postgresql_engine(
                url,
                size=connections,
                patience=max(lease_seconds / 2, SHORTEST_PATIENCE),
                durable=durable,
            ).execution_options(database=self)
            self._single = self._reader.execution_options(isolation_level="AUTOCOMMIT")

    def sibling(self, *, durable: bool = True) -> Database:
        """The same database through one connection of its own, which is closed with this one's."""
        sibling = Database(
            self._url,
            connections=1,
            lease_seconds=self._lease_seconds,
            observe=self._observe,
            durable=durable,
        )
        self._siblings.append(sibling)
        return sibling

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction that may write: committed at the end, rolled back on any exception.

        StoreUnavailable if the database can't be reached or stays locked.
        """
        with self._observed("write"), _translated(), self._writer.begin() as connection:
            yield connection

    @contextmanager
    def writing_undurably(self) -> Iterator[Connection]:
        """The same, but its commit waits for no disk: see `durable`. For what no promise needs. A later commit that is
        durable makes this one so, too."""
        with self._observed("write"), _translated(), self._writer.connect() as connection:
            if not self._sqlite:
                with connection.begin():
                    connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
                    yield connection
                return
            driver: Any = connection.connection.driver_connection
            driver.execute(f"PRAGMA {SYNCHRONOUS[False]}").close()
            try:
                with connection.begin():
                    yield connection
            finally:
                driver.execute(f"PRAGMA {SYNCHRONOUS[True]}").close()

    def sync(self) -> None:
        """Makes durable whatever was committed before. StoreUnavailable."""
        if self._sqlite:
            with self.glance() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)")
        else:
            with self.writing() as connection:
                connection.exec_driver_sql("SELECT txid_current()")  # or there would be nothing to commit

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent view of the data."""
        with self._observed("read"), _translated(), self._reader.begin() as connection:
            yield connection

    @contextmanager
    def glance(self) -> Iterator[Connection]:
        """For prepared statements that read, and need not see the same moment: a transaction round a small one
        costs more than it does."""
        with self._observed("read"), _translated(), self._single.connect() as connection:
            yield connection

    @property
    def kind(self) -> str:
        return self._writer.dialect.name

    @property
    def joins_writes(self) -> bool:
        """Can several writes be one statement here? See `joined_writes`."""
        return not self._sqlite

    @contextmanager
    def single_write(self) -> Iterator[Connection]:
        """For one statement that is a transaction by itself, in one round trip. For databases that join writes."""
        with self._observed("write"), _translated(), self._single.connect() as connection:
            yield connection

    @contextmanager
    def _observed(self, kind: Kind) -> Iterator[None]:
        began, failed = time.perf_counter(), False
        try:
            yield
        except StoreUnavailable:
            failed = True
            raise
        finally:
            if self._observe is not None:
                self._observe(kind, time.perf_counter() - began, failed)

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        """A writing transaction that other processes' migrations wait for."""
        with self.writing() as connection:
            if not self._sqlite:
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(6218341)")
                connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
            yield connection

    def wait_at_most(self, connection: Connection, seconds: float) -> None:
        """From here to the end of this transaction, a statement that waits longer for a lock fails: StoreUnavailable.
        SQLite's transactions that write have their only lock already."""
        if not self._sqlite:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {int(seconds * 1000)}")

    def notify(self, connection: Connection, session_id: str) -> None:
        """Tells the other processes, once this transaction is committed, that something of the session has changed.
        Only a hint: a process that misses it finds the change at its next look. SQLite has no such thing."""
        if not self._sqlite:
            connection.exec_driver_sql("SELECT pg_notify('baton', %s)", (session_id,))

    @property
    def can_listen(self) -> bool:
        return not self._sqlite

    def listen(self, stopped: Callable[[], bool]) -> Iterator[None]:
        """Yields whenever some process has told of a change; for a thread of its own, until `stopped`.
        StoreUnavailable when the database goes away."""
        with self._listener() as listener:
            while not stopped():
                for _ in listener.notifies(timeout=LISTEN_SECONDS, stop_after=1):
                    yield

    def hints_arrive(self, seconds: float) -> bool:
        """Does what one connection tells reach another one, within so many seconds? StoreUnavailable."""
        word = uuid.uuid4().hex
        with self._listener() as listener:
            with self.reading() as connection:
                self.notify(connection, word)
            return any(hint.payload == word for hint in listener.notifies(timeout=seconds))

    @contextmanager
    def _listener(self) -> Iterator[Any]:
        """The driver's own connection, which hears what is told."""
        with _translated(), self._reader.connect() as connection:
            raw: Any = connection.connection.driver_connection
            connection.detach()  # it goes on listening, so nobody else may get it afterwards
            raw.autocommit = True
            try:
                raw.execute("LISTEN baton")
                yield raw
            except self._reader.dialect.loaded_dbapi.Error as error:  # the driver's own, not SQLAlchemy's
                raise StoreUnavailable() from error

    def vacuum(self) -> None:
        """Gives the space of deleted rows back. StoreUnavailable, also when somebody else keeps it locked."""
        with _translated():
            connection = self._writer.raw_connection()
        driver: Any = connection.driver_connection
        try:
            if self._sqlite:
                driver.execute(f"PRAGMA busy_timeout={int(BUSY_SECONDS * 1000)}").close()
                driver.execute("VACUUM")
                driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
            else:
                driver.autocommit = True
                driver.execute("VACUUM (ANALYZE)")
        except self._writer.dialect.loaded_dbapi.Error as error:  # the driver's own, not SQLAlchemy's
            raise StoreUnavailable() from error
        finally:
            connection.invalidate()

    def now(self) -> float:
        """The time by the database's own clock. StoreUnavailable."""
        with self.glance() as connection:
            return float(connection.execute(select(now())).scalar_one())

    def size(self) -> int:
        """In bytes, as the database itself sees it."""
        with self.reading() as connection:
            if self._sqlite:
                pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
                return int(pages) * int(connection.exec_driver_sql("PRAGMA page_size").scalar_one())
            return int(connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one())

    @property
    def in_use(self) -> int:
        """How many connections somebody has in hand at this moment."""
        engines = {self._writer, self._reader}
        return sum(engine.pool.checkedout() for engine in engines if isinstance(engine.pool, QueuePool))

    def close(self) -> None:
        for sibling in self._siblings:
            sibling.close()
        self._writer.dispose()
        self._reader.dispose()


def announces(connection: Connection) -> bool:
    """What the connection's database says of it (`Database.announces`)."""
    database: Database | None = connection.get_execution_options().get("database")
    return database is not None and database.announces


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise StoreUnavailable() from error
