"""The commits of this process, and whether they waited for the disk."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, event

from bench.figures.statements import HOUSEKEEPERS


@contextmanager
def commits() -> Iterator[list[bool]]:
    """For each commit meanwhile, but those of housekeeping: did it wait for the disk?"""
    waited: list[bool] = []

    def committing(connection: Connection) -> None:
        if threading.current_thread().name not in HOUSEKEEPERS:
            waited.append(waits(connection))

    event.listen(Engine, "commit", committing)
    try:
        yield waited
    finally:
        event.remove(Engine, "commit", committing)


def waits(connection: Connection) -> bool:
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        return int(driver.execute("PRAGMA synchronous").fetchone()[0]) == 2
    return str(driver.execute("SHOW synchronous_commit").fetchone()[0]) == "on"
