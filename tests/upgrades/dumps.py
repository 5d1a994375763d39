"""The filled databases of schema 0001, as SQL text, and how a test gets one of its own."""

from __future__ import annotations

import re
import sqlite3
import time
from pathlib import Path
from typing import Final

import psycopg
from sqlalchemy import make_url

HERE: Final = Path(__file__).parent
SQLITE: Final = HERE / "schema_0001.sqlite.sql"
POSTGRESQL: Final = HERE / "schema_0001.postgresql.sql"

DIRECTORY: Final = "/the/directory"
"""Stands in the dumps for the directory in which the sessions work."""

AGE_SECONDS: Final = 3600.0
"""How old a loaded database is: its leases have run out, and its keys and events have not."""

TIMES: Final = {
    "sessions": ("created_at",),
    "messages": ("created_at",),
    "runs": ("started_at", "lease_expires_at", "ended_at"),
    "tool_calls": ("started_at", "ended_at"),
    "queued_messages": ("created_at",),
    "waiting_requests": ("since", "seen_at"),
    "prompts": ("created_at",),
    "summaries": ("created_at",),
    "event_segments": ("created_at",),
    "idempotency_keys": ("created_at",),
    "request_allowances": ("full_at",),
    "audit": ("at",),
}


def load(url: str, directory: Path) -> None:
    """Fills an empty database; its sessions work in `directory`."""
    if make_url(url).get_backend_name() == "sqlite":
        with sqlite3.connect(str(make_url(url).database)) as database:
            database.executescript(SQLITE.read_text())
            for statement in _changes(directory):
                database.execute(statement)
        database.close()
        return
    with psycopg.connect(url) as connection:
        connection.execute(POSTGRESQL.read_text())
        connection.execute("SET search_path = public")
        for statement in _changes(directory):
            connection.execute(statement)


def _changes(directory: Path) -> list[str]:
    """Statements that move the database to this place and time."""
    newest = float(re.findall(r"-- newest: ([0-9.]+)", SQLITE.read_text())[0])
    later = time.time() - AGE_SECONDS - newest
    moves = [
        f"UPDATE {table} SET {column} = {column} + {later!r} WHERE {column} > 0"
        for table, columns in TIMES.items()
        for column in columns
    ]
    return [*moves, f"UPDATE sessions SET working_dir = '{directory}' WHERE working_dir = '{DIRECTORY}'"]
