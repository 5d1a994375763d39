"""How connections to SQLite and PostgreSQL are opened, and what they are told before their first use."""

from __future__ import annotations

import os
import selectors
import sqlite3
import time
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DisconnectionError

BUSY_SECONDS: Final = 10
"""How long a statement waits for another process's SQLite lock, and a thread for a connection."""


_Selector: Final = getattr(selectors, "PollSelector", selectors.SelectSelector)

WRITING: Final = "BEGIN IMMEDIATE"

LOCK_SECONDS: Final = 0.001
"""Between two looks at a lock of SQLite's that another process, or another engine of this one, has. SQLite itself looks
ever less often, after up to 0.1 s, while a commit takes a few milliseconds."""

SYNCHRONOUS: Final = {True: "synchronous=FULL", False: "synchronous=NORMAL"}


def _make_private(file: str) -> None:
    """A new database is for the server's user only; SQLite gives what it makes beside it the same mode."""
    if file.startswith("file:"):
        return  # a URI, which says itself whether a file may be made
    try:
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError:
        pass  # it is there, or SQLite says why it can't be


def sqlite_engine(url: str, begin: str, *, size: int, durable: bool = True) -> Engine:
    """Without `durable` a commit waits for no disk: what was committed last may be lost when the machine breaks down,
    but not when the process does."""
    _make_private(make_url(url).database or "")
    engine = create_engine(
        url,
        hide_parameters=True,  # an error that is logged must not repeat a conversation
        pool_size=size,
        max_overflow=0,
        pool_timeout=BUSY_SECONDS * 2,
        pool_use_lifo=True,  # a connection that was used lately has its statements prepared, and its pages at hand
        connect_args={"check_same_thread": False, "timeout": BUSY_SECONDS},
    )

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = (
            None  # transactions begin where _begin says, not where the driver guesses
        )
        # macOS calls a disk written that has only been told to write; elsewhere `fullfsync` does nothing.
        for pragma in ("journal_mode=WAL", SYNCHRONOUS[durable], "fullfsync=ON", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}").close()
        if begin == WRITING:
            connection.execute("PRAGMA busy_timeout=0").close()  # _begin waits

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        driver: Any = connection.connection.driver_connection
        deadline = time.monotonic() + BUSY_SECONDS
        while not _begins(driver, begin, last=time.monotonic() >= deadline):
            time.sleep(LOCK_SECONDS)

    return engine


def _begins(driver: Any, begin: str, *, last: bool) -> bool:
    """Straight to the driver: this is done for each transaction. False if somebody else has the lock; at `last` the
    driver's error."""
    try:
        driver.execute(begin).close()
    except sqlite3.OperationalError as error:
        if last or error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True


def postgresql_engine(url: str, *, size: int, patience: float, durable: bool = True) -> Engine:
    """`patience` is how many seconds one end of a connection waits for a sign of the other. `durable` as above."""
    parsed = make_url(url)
    if parsed.drivername in ("postgres", "postgresql"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    engine = create_engine(
        parsed,
        hide_parameters=True,
        pool_size=size,
        max_overflow=0,
        pool_timeout=BUSY_SECONDS,
        pool_use_lifo=True,  # a connection that was used lately has its statements prepared
        connect_args={
            name: value for name, value in _client_limits(patience).items() if name not in parsed.query
        },
    )
    wanted = _server_limits(patience) | ({} if durable else {"synchronous_commit": "off"})
    settings = "; ".join(f"SET {name} = {value}" for name, value in wanted.items())

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        connection.execute(settings)  # poolers refuse them as start-up options
        connection.commit()

    @event.listens_for(engine, "checkout")
    def _checked_out(connection: Any, _record: Any, _proxy: Any) -> None:
        if connection.closed or _has_word(connection.pgconn.socket):
            raise DisconnectionError()  # the pool opens another one

    return engine


def _has_word(socket: int) -> bool:
    """Has the server said something that nobody asked for? As a rule that it is gone. A look at the socket takes no
    round trip, as a question would."""
    with _Selector() as selector:
        selector.register(socket, selectors.EVENT_READ)
        return bool(selector.select(0))


def _client_limits(patience: float) -> dict[str, int]:
    """For libpq, which notices with them that the server's host is gone."""
    probes = max(1, int(patience / 3))  # seconds
    return {
        "connect_timeout": BUSY_SECONDS,
        "keepalives_idle": probes,
        "keepalives_interval": probes,
        "keepalives_count": 2,
        "tcp_user_timeout": int(patience * 1000),
    }


def _server_limits(patience: float) -> dict[str, int | str]:
    """For the server, which ends a transaction with them whose client is gone, or has stopped in the middle."""
    probes = max(1, int(patience / 3))  # seconds
    return {
        "lock_timeout": BUSY_SECONDS * 1000,
        # A stopped process's connections may get the same row lock one after the other, each for so long.
        "idle_in_transaction_session_timeout": max(1000, int(patience * 1000 / 3)),
        "tcp_keepalives_idle": probes,
        "tcp_keepalives_interval": probes,
        "tcp_keepalives_count": 2,
        "tcp_user_timeout": int(patience * 1000),
    }
