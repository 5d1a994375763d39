"""Deleting many rows in short transactions."""

from __future__ import annotations

import time
from typing import Final

from sqlalchemy import ColumnElement, Table, delete, select, tuple_

from app.store.engine import Database

AT_ONCE: Final = 500
"""Rows of one transaction: on SQLite, all other writers wait for its end."""

MOST: Final = 100_000
"""Rows of one call: the rest has time until the next one."""

LONGEST_PAUSE: Final = 0.1  # seconds


def drop(database: Database, table: Table, condition: ColumnElement[bool], *, at_once: int = 0) -> int:
    """Deletes the rows that meet the condition and returns their number: `MOST` if more may be left. Other writers
    get as much time after each transaction as it took. Rows that another transaction has locked stay.
    `at_once`: rows of one transaction; 0: `AT_ONCE`.
    """
    at_once = at_once or AT_ONCE
    keys = tuple_(*table.primary_key.columns)
    chosen = select(*table.primary_key.columns).where(condition).limit(at_once).correlate(None)
    statement = delete(table).where(keys.in_(chosen.with_for_update(skip_locked=True)))
    dropped = 0
    while dropped < MOST:
        began = time.monotonic()
        with database.writing() as connection:
            count = connection.execute(statement).rowcount
        dropped += count
        if count:
            time.sleep(min(time.monotonic() - began, LONGEST_PAUSE))
        if count < at_once:
            break
    return dropped
