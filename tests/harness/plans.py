"""Every statement that this process sends to a database, and how the database would carry it out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, Final

from psycopg import ClientCursor
from sqlalchemy import Engine, event

from app.store.engine import Database

LIVE_ONLY: Final = {"live_runs", "one_live_run_per_session", "queue_waiting"} | {
    "deleted_skills",
    "deleted_skill_versions",
}
"""Partial indexes of what is under way at this moment, or deleted and still in use: reading such an index from end to
end costs nothing."""

SMALL: Final = {"scheduled_jobs", "alembic_version", "main.search_words_config"}
"""Tables that have as many rows as the program has words for them."""

_JUDGED: Final = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b", re.IGNORECASE)


class Statements:
    """By their words, so that each is judged once; with values that it was sent with."""

    def __init__(self) -> None:
        self.sent: dict[str, Any] = {}

    def note(self, words: str, values: Any = None) -> None:
        if _JUDGED.match(words):
            self.sent[words] = values


@contextmanager
def recorded() -> Iterator[Statements]:
    """All that is sent meanwhile on connections that are opened meanwhile, by whatever thread and in whatever way:
    it is noted by the driver."""
    statements = Statements()

    def connected(connection: Any, _record: Any) -> None:
        if hasattr(connection, "set_trace_callback"):
            connection.set_trace_callback(statements.note)
        else:
            connection.cursor_factory = _recording(connection.cursor_factory, statements)

    event.listen(Engine, "connect", connected)
    try:
        yield statements
    finally:
        event.remove(Engine, "connect", connected)


def _recording(cursor_class: Any, statements: Statements) -> Any:
    """A cursor of psycopg that notes what it sends."""

    class Recording(cursor_class):  # type: ignore[misc]  # the driver is imported by its user
        def execute(self, query: Any, params: Any = None, **more: Any) -> Any:
            statements.note(str(query), params)
            return super().execute(query, params, **more)

        def executemany(self, query: Any, params_seq: Sequence[Any], **more: Any) -> Any:
            rows = list(params_seq)
            statements.note(str(query), rows[0] if rows else None)
            return super().executemany(query, rows, **more)

    return Recording


def scans(database: Database, statements: Statements, *, along: Sequence[str] = ()) -> dict[str, str]:
    """The statements that read a table, or an index of all its rows, from end to end; with their plans. `along` are
    indexes that may be read in their order, by statements that have a limit."""
    explain = _sqlite_plan if "sqlite" in str(database._writer.url) else _postgresql_plan
    found = {}
    for words, values in sorted(dict(statements.sent).items()):
        scanned, plan = explain(database, words, values)
        if "LIMIT" in words:
            scanned = [scan for scan in scanned if scan.split()[-1] not in along]
        if scanned:
            found[words] = f"{', '.join(scanned)}:\n{plan}"
    return found


def _sqlite_plan(database: Database, words: str, _values: Any) -> tuple[list[str], str]:
    """This driver notes statements with their values in them."""
    with database.reading() as connection:
        lines = [str(row.detail) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {words}")]
    not_tables = set(_NAMED_QUERY.findall(words)) | set(_NAMED_RESULT.findall(words))
    return [line for line in lines if _is_scan_on_sqlite(line, not_tables)], "\n".join(lines)


_NAMED_QUERY: Final = re.compile(r"\b(\w+)(?:\([^()]*\))?\s+AS\s+\(")
_NAMED_RESULT: Final = re.compile(r"\)\s+AS\s+(\w+)")


def _is_scan_on_sqlite(line: str, not_tables: set[str]) -> bool:
    """`SEARCH` without an index is one too: it stands for `min` and `max`, which look at every row then."""
    verb, _, rest = line.partition(" ")
    if verb not in ("SCAN", "SEARCH") or "VIRTUAL TABLE" in line or rest == "CONSTANT ROW":
        return False
    table, _, way = rest.partition(" ")
    if table in not_tables | SMALL or table.startswith("("):
        return False
    index = re.search(r"USING (?:COVERING )?INDEX (\w+)", way)
    if verb == "SEARCH":
        return "USING" not in way or "AUTOMATIC" in way
    return index is None or index[1] not in LIVE_ONLY


def _postgresql_plan(database: Database, words: str, values: Any) -> tuple[list[str], str]:
    """How it would be done if reading a table from end to end were out of the question, also for a join: a small
    table is always read so, and the planner's choice depends on how many rows there are today."""
    with database.reading() as connection:
        driver: Any = connection.connection.driver_connection
        with closing(ClientCursor(driver)) as cursor:
            for way in ("seqscan", "hashjoin", "mergejoin"):
                cursor.execute(f"SET LOCAL enable_{way} = off")
            cursor.execute(f"EXPLAIN (FORMAT JSON, COSTS OFF) {words}", values)
            ((plan,),) = cursor.fetchall()
    scanned = [f"{node['Node Type']} {_target(node)}" for node in _nodes(plan[0]["Plan"]) if _is_scan(node)]
    return scanned, json.dumps(plan, indent=1)


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for below in node.get("Plans", ()):
        yield from _nodes(below)


def _target(node: dict[str, Any]) -> str:
    return str(node.get("Index Name") or node.get("Relation Name") or "")


def _is_scan(node: dict[str, Any]) -> bool:
    kind = node["Node Type"]
    if node.get("Relation Name") in SMALL:
        return False
    if kind == "Seq Scan":
        return True
    if kind in ("Index Scan", "Index Only Scan", "Bitmap Index Scan"):
        return "Index Cond" not in node and _target(node) not in LIVE_ONLY
    return False
