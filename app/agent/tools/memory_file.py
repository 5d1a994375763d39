"""Memories in an SQLite file, which any number of sessions and processes may use."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from app.agent.tools.sandbox import FileRefused, Sandbox

BUSY_SECONDS: Final = 10.0  # how long to wait for another writer
STATEMENT_SECONDS: Final = 10.0
MAX_FILE: Final = 100_000_000  # bytes
MAX_VALUE: Final = 1_000_000  # bytes of one column
MAX_SHOWN: Final = 10_000_000  # characters of all memories together

_TABLE: Final = """CREATE TABLE IF NOT EXISTS memories (
    id TEXT PRIMARY KEY, created_at TEXT, memory TEXT, category TEXT DEFAULT '')"""


class MemoryFailed(Exception):
    """The file can't be used, or does not hold what was asked for."""


@dataclass(frozen=True, slots=True)
class MemoryEntry:
    id: str
    created_at: str  # RFC 3339
    memory: str
    category: str


class MemoryFile:
    """Opened for each piece of work; nothing is kept in between. Everything raises MemoryFailed."""

    def __init__(self, files: Sandbox, path: str, *, makes_root: bool = False) -> None:
        """`makes_root`: a first memory makes the directory that `files` begin in, too."""
        self._makes_root = makes_root
        self._files = files
        self._path = path

    def add(self, memory: str, category: str) -> str:
        """Returns the new memory's id: nanoseconds, a bit more if somebody was as fast."""
        with self._opened() as database:
            created_at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
            number = time.time_ns()
            while not self._insert(database, str(number), created_at, memory, category):
                number += 1
            return str(number)

    def all(self) -> list[MemoryEntry]:
        """In the order in which they were made."""
        if not self._is_there():
            return []
        with self._opened() as database:
            rows = database.execute(
                "SELECT id, created_at, memory, category FROM memories ORDER BY created_at, rowid"
            )
            found, left = [], MAX_SHOWN
            for row in rows:
                memory = MemoryEntry(*(str(value or "") for value in row))
                left -= len(memory.memory) + len(memory.category) + 100
                if left < 0:
                    raise MemoryFailed(f"there are more than {MAX_SHOWN} characters")
                found.append(memory)
            return found

    def search(self, query: str, category: str) -> list[MemoryEntry]:
        """The memories that hold every word of the query, in any case, and are of the category, if one is given."""
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
        """One transaction. The file may come from a stranger's repository, so nothing that its schema names is
        trusted, and no statement takes longer than STATEMENT_SECONDS."""
        try:
            path = self._place()
            with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as database, database:
                if database.execute("PRAGMA database_list").fetchone()[2] != str(path):
                    raise MemoryFailed(
                        "a link has taken its place"
                    )  # SQLite follows it, and says where it leads
                database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE)
                database.execute("PRAGMA trusted_schema=OFF")
                end = time.monotonic() + BUSY_SECONDS + STATEMENT_SECONDS
                database.set_progress_handler(lambda: time.monotonic() > end, 10_000)
                kinds = database.execute("SELECT type FROM sqlite_master WHERE name = 'memories'").fetchall()
                if kinds not in ([], [("table",)]):
                    raise MemoryFailed("memories is not a table")
                database.execute(_TABLE)
                yield database
        except (sqlite3.Error, OSError, FileRefused) as error:
            raise MemoryFailed(str(error)) from error

    def _is_there(self) -> bool:
        try:
            return self._files.exists(self._path)
        except FileRefused as refusal:
            if refusal.is_more_than_absent:
                raise MemoryFailed(str(refusal)) from refusal
            return False

    def _place(self) -> Path:
        if self._makes_root:
            self._files.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if parent := os.path.dirname(self._path):
            self._files.make_directories(parent)
        return self._files.prepared(self._path, suffixes=("-journal", "-wal", "-shm"), limit=MAX_FILE)
