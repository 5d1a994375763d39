"""Where a process touches the world outside, for all of its code alike: the drivers of the databases, threads, files,
sockets, processes, and the event logs that readers see."""

from __future__ import annotations

import os
import selectors
import sqlite3
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

import psycopg
from sqlalchemy import Engine, event

from app.runtime.streams.event_log import EventLog
from tests.walk.faults import Kind, Tripped, Tripwire, no_descriptors

OPENED: Final = {
    "open": "open",
    "os.listdir": "list",
    "os.scandir": "list",
    "socket.__new__": "socket",
    "subprocess.Popen": "process",
}
"""Python's audit events of what takes a descriptor. They are raised by C code too."""


def watch(wire: Tripwire) -> None:
    """For the rest of this process's life; call it before a database is opened."""
    _watch_databases(wire)
    _watch_threads(wire)
    _watch_descriptors(wire)
    _watch_events(wire)


def _watch_databases(wire: Tripwire) -> None:
    class SqliteCursor(sqlite3.Cursor):
        def execute(self, sql: str, *more: Any) -> Any:
            _sqlite_touch("statement", sql)
            return super().execute(sql, *more)

        def executemany(self, sql: str, *more: Any) -> Any:
            _sqlite_touch("statement", sql)
            return super().executemany(sql, *more)

    class SqliteConnection(sqlite3.Connection):
        def cursor(self, factory: Any = SqliteCursor) -> Any:
            return super().cursor(factory)

        def execute(self, sql: str, *more: Any) -> Any:
            return self.cursor().execute(sql, *more)

        def commit(self) -> None:
            if not self.in_transaction:
                return
            _sqlite_touch("commit", "")
            super().commit()
            _sqlite_touch("committed", "")

    def _sqlite_touch(kind: Kind, what: str) -> None:
        try:
            wire.touch(kind, what)
        except Tripped:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR  # as SQLite's own errors have it
            raise error from None

    class PostgresCursor(psycopg.Cursor[Any]):
        def execute(self, query: Any, *more: Any, **options: Any) -> Any:
            _postgres_touch(self.connection, "statement", str(query))
            done = super().execute(query, *more, **options)
            if self.connection.autocommit and str(query).startswith("WITH"):
                _postgres_touch(self.connection, "committed", "")  # a transaction by itself
            return done

        def executemany(self, query: Any, *more: Any, **options: Any) -> Any:
            _postgres_touch(self.connection, "statement", str(query))
            return super().executemany(query, *more, **options)

    class PostgresConnection(psycopg.Connection[Any]):
        def commit(self) -> None:
            _postgres_touch(self, "commit", "")
            super().commit()
            _postgres_touch(self, "committed", "")

    def _postgres_touch(connection: psycopg.Connection[Any], kind: Kind, what: str) -> None:
        try:
            wire.touch(kind, what)
        except Tripped:
            connection.pgconn.finish()
            raise psycopg.OperationalError("server closed the connection unexpectedly") from None

    @event.listens_for(Engine, "do_connect")
    def connect(dialect: Any, _record: Any, arguments: Sequence[Any], options: dict[str, Any]) -> Any:
        try:
            wire.touch("connect", dialect.name)
        except Tripped:
            raise dialect.loaded_dbapi.OperationalError("the database is not there") from None
        if dialect.name == "sqlite":
            options["factory"] = SqliteConnection
            return None
        connection = PostgresConnection.connect(*arguments, **options)
        connection.cursor_factory = PostgresCursor
        return connection


def _watch_threads(wire: Tripwire) -> None:
    start = threading.Thread.start

    def watched(self: threading.Thread) -> None:
        try:
            wire.touch("thread", self.name)
        except Tripped:
            raise RuntimeError("can't start new thread") from None
        start(self)

    threading.Thread.start = watched  # type: ignore[method-assign]


def _watch_descriptors(wire: Tripwire) -> None:
    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        if (kind := OPENED.get(name)) is None or isinstance(arguments[0], int):
            return  # a descriptor that was open before
        _open(f"{kind} {arguments[0] if name != 'socket.__new__' else ''}")

    def _open(what: str) -> None:
        try:
            wire.touch("open", what)
        except Tripped:
            raise no_descriptors() from None

    def watched(real: Callable[..., Any], name: str) -> Callable[..., Any]:
        def opening(*arguments: Any, **options: Any) -> Any:
            _open(name)
            return real(*arguments, **options)

        return opening

    sys.addaudithook(hook)
    for module, name in ((selectors, "DefaultSelector"), (os, "pipe"), (os, "pidfd_open")):
        setattr(module, name, watched(getattr(module, name), name))


def _watch_events(wire: Tripwire) -> None:
    def watched(real: Callable[..., Any], name: str) -> Callable[..., Any]:
        def adding(self: EventLog, payloads: Sequence[bytes], *more: Any) -> Any:
            try:
                wire.touch("event", f"{name} {payloads[0][:40].decode(errors='replace') if payloads else ''}")
            except Tripped:
                raise MemoryError from None
            return real(self, payloads, *more)

        return adding

    for name in ("publish", "seal"):
        setattr(EventLog, name, watched(getattr(EventLog, name), name))
