"""What a PostgreSQL server did within a time, from its own books."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg.rows import dict_row

from bench.accounting import cpu_seconds

OPTIONS: Final = ("shared_preload_libraries=pg_stat_statements", "fsync=on", "max_wal_size=4GB")
"""Of a server that is watched: each commit waits for the disk, as at home."""

LOOK_SECONDS: Final = 0.5

_STATEMENTS: Final = """
    SELECT query, calls, rows, total_exec_time / 1000 AS seconds
    FROM pg_stat_statements JOIN pg_database ON pg_database.oid = dbid AND datname = current_database()
"""
_OURS: Final = re.compile("pg_stat|pg_notify")
_TRANSACTIONS: Final = ("BEGIN", "COMMIT", "ROLLBACK")
_TOTALS: Final = """
    SELECT pg_current_wal_lsn() - '0/0'::pg_lsn AS wal,
           (SELECT coalesce(sum(octet_length(frames)), 0) FROM event_segments) AS event_bytes,
           pg_database_size(current_database()) AS size,
           xact_commit AS commits
    FROM pg_stat_database WHERE datname = current_database()
"""


@dataclass(slots=True)
class Seen:
    """Per second, but for `connections`, the most at any look."""

    statements: float = 0.0
    commits: float = 0.0
    rows: float = 0.0
    wal_bytes: float = 0.0
    event_bytes: float = 0.0
    grown_bytes: float = 0.0
    cpu: float = 0.0
    connections: int = 0
    costly: Mapping[str, tuple[float, float]] | None = None  # calls and seconds, by statement


class DatabaseWatch:
    def __init__(self, url: str) -> None:
        self._connection: psycopg.Connection[dict[str, Any]] = psycopg.connect(
            url, autocommit=True, row_factory=dict_row
        )
        self._connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")

    def close(self) -> None:
        self._connection.close()

    def during(self, seconds: float, *, hints: float) -> Seen:
        """Looks on for so long, and sends so many hints a second, such as answers and stops send to all processes."""
        before, cpu = self._totals(), self._cpu()
        self._connection.execute("SELECT pg_stat_statements_reset()")
        began, connections = time.monotonic(), 0
        while (left := seconds - (time.monotonic() - began)) > 0:
            time.sleep(min(left, 1 / hints if hints else LOOK_SECONDS))
            if hints:
                self._connection.execute("SELECT pg_notify('baton', 'a session of nobody')")
            connections = max(connections, self._connections())
        took = time.monotonic() - began
        statements = self._rows(_STATEMENTS)
        after, cpu_after = self._totals(), self._cpu()
        theirs = [row for row in statements if not _OURS.search(row["query"])]
        work = [row for row in theirs if not row["query"].startswith(_TRANSACTIONS)]
        costly = sorted(theirs, key=lambda row: -row["seconds"])[:8]
        return Seen(
            statements=sum(row["calls"] for row in work) / took,
            commits=(after["commits"] - before["commits"]) / took,
            rows=sum(row["rows"] for row in work) / took,
            wal_bytes=float(after["wal"] - before["wal"]) / took,
            event_bytes=float(after["event_bytes"] - before["event_bytes"]) / took,
            grown_bytes=float(after["size"] - before["size"]) / took,
            cpu=sum(used - cpu.get(pid, 0.0) for pid, used in cpu_after.items()) / took,
            connections=connections,
            costly={row["query"]: (row["calls"] / took, row["seconds"] / took) for row in costly},
        )

    def live_runs_of(self, pid: int) -> int:
        """Rows that a process still holds."""
        (row,) = self._rows("SELECT count(*) AS n FROM runs WHERE owner_pid = %s AND ended_at IS NULL", pid)
        return int(row["n"])

    def _connections(self) -> int:
        (row,) = self._rows(
            "SELECT count(*) - 1 AS n FROM pg_stat_activity"
            " WHERE datname = current_database() AND backend_type = 'client backend'"
        )
        return int(row["n"])

    def _totals(self) -> dict[str, Any]:
        return self._rows(_TOTALS)[0]

    def _cpu(self) -> dict[int, float]:
        """Seconds of each of the server's processes but this connection's."""
        found = {}
        for row in self._rows("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()"):
            try:
                found[row["pid"]] = cpu_seconds([row["pid"]])
            except OSError:
                continue  # it has just ended
        return found

    def _rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        return self._connection.execute(query, values).fetchall()


@contextmanager
def watching(url: str) -> Iterator[DatabaseWatch]:
    watch = DatabaseWatch(url)
    try:
        yield watch
    finally:
        watch.close()
