"""Locks that have a name and belong to no row."""

from __future__ import annotations

from sqlalchemy import Connection


def take_turns(connection: Connection, name: str) -> None:
    """From here to the end of this transaction nobody else is here under that name: a count stays true until its
    reader has written. SQLite's transactions that write are alone anyway."""
    if connection.dialect.name != "sqlite":
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(6218342, hashtext(%s))", (name,))
