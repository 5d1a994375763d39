"""Memories in an SQLite file, which any number of sessions and processes may use."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

BUSY_SECONDS: Final = 10.0  # how long to wait for who is writing

_TABLE: Final = """CREATE TABLE IF NOT EXISTS memories (
    id TEXT PRIMARY KEY, created_at TEXT, memory TEXT, category TEXT DEFAULT '')"""


class MemoryFailed(Exception):
    """The file can't be used, or does not hold what was asked for."""


@dataclass(frozen=True, slots=True)
class Memory:
    id: str
    created_at: str  # RFC 3339
    memory: str
    category: str


class MemoryFile:
    """Opened for each piece of work; nothing is kept in between. Everything raises MemoryFailed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, memory: str, category: str) -> str:
        """Returns the new memory's id: nanoseconds, a bit more if somebody was as fast."""
        with self._opened() as database:
            created_at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
            number = time.time_ns()
            while not self._insert(database, str(number), created_at, memory, category):
                number += 1
            return str(number)

    def all(self) -> list[Memory]:
        """In the order in which they were made."""
        if not self._path.exists():
            return []
        with self._opened() as database:
            rows = database.execute(
                "SELECT id, created_at, memory, category FROM memories ORDER BY created_at, rowid"
            ).fetchall()
            return [Memory(*(str(value or "") for value in row)) for row in rows]

    def search(self, query: str, category: str) -> list[Memory]:
        """Those that hold every word of the query, in any case, and are of the category, if one is given."""
        words = query.casefold().split()
        return [
            found
            for found in self.all()
            if all(word in found.memory.casefold() for word in words)
            and (not category or found.category.casefold() == category.casefold())
        ]

    def update(self, memory_id: str, memory: str, category: str) -> None:
        with self._opened() as database:
            changed = database.execute(
                "UPDATE memories SET memory = ?, category = ? WHERE id = ?", (memory, category, memory_id)
            )
            if not changed.rowcount:
                raise MemoryFailed(f"memory not found: {memory_id}")

    def delete(self, memory_id: str) -> None:
        """Does nothing if there is none of that id."""
        with self._opened() as database:
            database.execute("DELETE FROM memories WHERE id = ?", (memory_id,))

    def _insert(self, database: sqlite3.Connection, *values: str) -> bool:
        inserted = database.execute(
            "INSERT OR IGNORE INTO memories (id, created_at, memory, category) VALUES (?, ?, ?, ?)", values
        )
        return inserted.rowcount == 1

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """One transaction."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._path, timeout=BUSY_SECONDS)) as database, database:
                database.execute(_TABLE)
                yield database
        except (sqlite3.Error, OSError) as error:
            raise MemoryFailed(str(error)) from error
