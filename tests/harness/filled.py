"""A database that has been in use for a long time: `python -m tests.harness.filled URL [SESSIONS [SEGMENTS]]`.

The database makes the rows itself, a statement for each table and some hundred sessions, in the order of their
indexes and with tiny frames: ten million segments take minutes. Pruning finds nothing in them to drop.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import closing
from typing import Final

from sqlalchemy import Dialect, text

from app.store.clock import now
from app.store.engine import Database
from app.store.migrate import migrate

SESSIONS: Final = 10_000
SEGMENTS: Final = 1_000  # of each session
RUNS: Final = 10
"""Ended runs of each session, with as many tool calls, queued messages, keys and entries in the audit trail."""

_AT_ONCE: Final = 500  # sessions

_AT: Final = "(t - 80000 + 70000.0 * (s * :parts + n) / :sessions / :parts)"
_SESSION: Final = "'old-' || s"
_STORE: Final = "'store-' || s"
_RUN: Final = f"'run-' || s || '-' || (n % {RUNS})"

Expressions = Mapping[str, str]
"""By column; `s` is the number of the session, `n` that of the row within it, `t` the present time."""

_ROWS: Final[Mapping[str, Expressions]] = {
    "sessions": {
        "id": _SESSION,
        "created_at": _AT,
        "owner": "CASE WHEN s % 2 = 0 THEN '' ELSE 'owner-' || (s % 20) END",
        "title": "'a title'",
        "working_dir": "'/'",
        "tools_approved": "false",
        "thinking": "false",
        "max_iterations": "0",
        "input_tokens": "0",
        "output_tokens": "0",
        "cost": "0.0",
        "starred": "false",
        "parent_id": "CASE WHEN s % 5 = 4 THEN 'old-' || (s - 1) END",
        "agent": "'plain'",
        "handed_to": "''",
        "compactions": "0",
        "model": "''",
        "next_event": "1000000",
    },
    "runs": {
        "id": _RUN,
        "session_id": _SESSION,
        "agent": "'plain'",
        "status": "CASE WHEN n % 9 = 8 THEN 'failed' ELSE 'finished' END",
        "epoch": "0",
        "writes": "9",
        "owner_host": "'a-host'",
        "owner_boot": "'a-boot'",
        "owner_pid": "100",
        "owner_started": "'5'",
        "started_at": _AT,
        "lease_expires_at": f"{_AT} + 30",
        "ended_at": f"{_AT} + 9",
        "code": "''",
        "error": "''",
        "first_event": "n * 9 + 1",
        "last_event": "n * 9 + 9",
        "options_json": "'{}'",
    },
    "messages": {
        "session_id": _SESSION,
        "position": "n",
        "role": "CASE WHEN n % 2 = 0 THEN 'user' ELSE 'assistant' END",
        "content_json": """'[{"type": "text", "text": "hello"}]'""",
        "agent": "''",
        "prompt": "''",
        "created_at": _AT,
        "implicit": "false",
        "partial": "''",
        "stop_reason": "''",
        "model": "''",
        "cost": "0.0",
        "run_id": _RUN,
    },
    "tool_calls": {
        "session_id": _SESSION,
        "id": "'call-' || n",
        "run_id": _RUN,
        "position": "n",
        "name": "'shell'",
        "arguments_json": "'{}'",
        "state": "'completed'",
        "decision": "''",
        "decided_by": "''",
        "reason": "''",
        "started_at": _AT,
        "ended_at": _AT,
    },
    "queued_messages": {
        "id": "'queued-' || s || '-' || n",
        "session_id": _SESSION,
        "number": "n",
        "kind": "'followup'",
        "content_json": "'[]'",
        "created_at": _AT,
        "created_by": "''",
        "taken_by": _RUN,
        "taken_in": "1",
        "position": "n",
    },
    "event_segments": {
        "session_id": _SESSION,
        "first": "n * 9 + 1",
        "last": "n * 9 + 9",
        "run_id": _RUN,
        "frames": "CAST('data' AS {bytes})",
        "created_at": _AT,
    },
    "idempotency_keys": {
        "owner": "'owner-' || s",
        "key": "'key-' || n",
        "request": "''",
        "session_id": _SESSION,
        "run_id": _RUN,
        "created_at": _AT,
    },
    "audit": {
        "at": _AT,
        "who": "'owner-' || s",
        "role": "'operator'",
        "action": "'run'",
        "session_id": _SESSION,
        "run_id": _RUN,
        "detail": "''",
        "request_id": "''",
    },
    "file_contents": {
        "id": "'content-' || s || '-' || n",
        "owner": "'owner-' || (s % 20)",
        "size_bytes": "4",
        "uses": "1",
        "created_at": _AT,
    },
    "file_chunks": {
        "content_id": "'content-' || s || '-' || n",
        "number": "0",
        "data": "CAST('data' AS {bytes})",
    },
    "files": {
        "id": "'file-' || s || '-' || n",
        "owner": "'owner-' || (s % 20)",
        "session_id": f"CASE WHEN n > 4 THEN {_SESSION} END",
        "content_id": "'content-' || s || '-' || n",
        "filename": "'a.txt'",
        "mime_type": "'text/plain'",
        "size_bytes": "4",
        "downloadable": "false",
        "created_at": _AT,
        "expires_at": "CASE WHEN n = 0 THEN t + 86400 END",
    },
    "session_resources": {
        "id": "'resource-' || s || '-' || n",
        "session_id": _SESSION,
        "number": "n",
        "file_id": "'file-' || s || '-' || n",
        "mount_path": "'/' || n",
        "settings_json": "'{}'",
        "created_at": _AT,
        "updated_at": _AT,
    },
    "repository_tokens": {
        "resource_id": "'resource-' || s || '-' || n",
        "session_id": _SESSION,
        "sealed": "'sealed'",
    },
    "webhook_deliveries": {
        "id": "'event-' || s || '-' || n",
        "type": "'session.updated'",
        "subject_json": "'{}'",
        "created_at": "t - 1000",
        "attempts": "1",
        "due_at": "t + 86400",
    },
    "waiting_requests": {
        "id": "'waiting-' || s",
        "session_id": _SESSION,
        "process": "'elsewhere'",
        "since": "t",
        "seen_at": "t + 86400",
    },
    "request_allowances": {"owner": "'owner-' || s", "full_at": "t + 86400"},
    "spending": {
        "owner": "'owner-' || s",
        "day": "CAST(t / 86400 AS INTEGER) - n",
        "cost": "0.1",
    },
    "memory_stores": {
        "id": _STORE,
        "owner": "'owner-' || (s % 20)",
        "shared": "false",
        "created_at": _AT,
        "updated_at": _AT,
        "definition_json": "'{}'",
    },
    "memory_versions": {
        "id": "'version-' || s || '-' || n",
        "store_id": _STORE,
        "number": "n",
        "memory_id": "'memory-' || s",
        "operation": "'modified'",
        "created_at": _AT,
        "by_key": "'ann'",
        "by_session": "''",
        "redacted_by": "''",
        "replaced_at": f"CASE WHEN n < {RUNS - 1} THEN {_AT} END",
    },
}


def fill(database: Database, *, sessions: int = SESSIONS, segments: int = SEGMENTS) -> None:
    """Into a migrated database; once. It is analyzed afterwards, as a database that has been used for long is."""
    one = ("sessions", "waiting_requests", "request_allowances", "memory_stores")
    parts = (
        dict.fromkeys(_ROWS, RUNS)
        | dict.fromkeys(one, 1)
        | {"messages": 2 * RUNS, "event_segments": segments}
    )
    for table, expressions in _ROWS.items():
        for first in range(0, sessions, _AT_ONCE):
            beyond = min(sessions, first + _AT_ONCE)
            values = {"first": first, "beyond": beyond, "parts": parts[table], "sessions": sessions}
            with database.writing() as connection:
                connection.execute(text(_insert(table, expressions, connection.dialect)), values)
    with database.writing() as connection:
        connection.exec_driver_sql("ANALYZE")


def _insert(table: str, expressions: Expressions, dialect: Dialect) -> str:
    kind = "BLOB" if dialect.name == "sqlite" else "BYTEA"
    values = ", ".join(expressions.values()).replace("{bytes}", kind)
    return f"""
        WITH RECURSIVE
          session(s) AS (SELECT CAST(:first AS INTEGER) UNION ALL SELECT s + 1 FROM session WHERE s < :beyond - 1),
          part(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM part WHERE n < :parts - 1)
        INSERT INTO {table} ({", ".join(expressions)})
        SELECT {values} FROM session, part, (SELECT {now().compile(dialect=dialect)} AS t) AS clock ORDER BY s, n
    """


def main(url: str, sessions: str = str(SESSIONS), segments: str = str(SEGMENTS)) -> None:
    with closing(Database(url)) as database:
        migrate(database)
        fill(database, sessions=int(sessions), segments=int(segments))


if __name__ == "__main__":
    main(*sys.argv[1:])
