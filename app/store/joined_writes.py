"""Several small writes as one statement of PostgreSQL: one round trip, and a transaction in which nothing waits for us.

The first is the condition of the others: when it finds no row, nothing is written. All of them see the database as it
was when the statement began. What must not have changed since is said with `is_as_seen`; the writer then does the same
step by step, in a transaction that sees what is there by then. SQLite can't join writes, and has no network to spare.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import Boolean, Connection, Table
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from app.store.engine import Database
from app.store.prepared_statements import Prepared, Values

_NOTHING_FOUND: Final = "22012"  # division by zero: the only way for a statement to undo itself


Answer = Literal["nothing", "value", "row"]


@dataclass(frozen=True, slots=True)
class Write:
    """One statement: a change, or an insert of several rows. It may answer with one value, or one row."""

    statement: Prepared
    rows: Sequence[Values]
    answer: Answer = "nothing"

    def do(self, connection: Connection) -> Any:
        """The value or row that it returns, if any."""
        if self.answer == "row":
            return self.statement.first(connection, self.rows[0])
        if self.answer == "value":
            return self.statement.scalar(connection, self.rows[0])
        if len(self.rows) == 1:
            self.statement.run(connection, self.rows[0])
        else:
            self.statement.insert_all(connection, self.rows)
        return None


class is_as_seen(FunctionElement[bool]):
    """Has nobody changed this row, of a table with an `id`, since the statement began? A statement that waits for a row
    gets its newest version, and everything else as it was before."""

    type = Boolean()
    inherit_cache = True

    def __init__(self, table: Table) -> None:
        super().__init__()
        self.name = table.name


@compiles(is_as_seen, "sqlite")
def _is_as_seen_sqlite(*_: Any, **__: Any) -> str:
    return "true"  # nobody writes beside a transaction that writes


@compiles(is_as_seen, "postgresql")
def _is_as_seen_postgresql(element: is_as_seen, *_: Any, **__: Any) -> str:
    name = element.name
    return f"{name}.xmin = (SELECT seen.xmin FROM {name} AS seen WHERE seen.id = {name}.id)"  # noqa: S608 - our own words


def write_at_once(database: Database, condition: Write, writes: Sequence[Write]) -> list[Any] | None:
    """One transaction: what the condition and the writes return; None if the condition found no row, and nothing was
    written. Where writes can be joined, none of them sees what another one has done."""
    every = (condition, *writes)
    if database.joins_writes:
        with database.single_write() as connection:
            return _joined(connection, every)
    with database.writing() as connection:
        if condition.answer == "nothing":
            first = condition.statement.run(connection, condition.rows[0]) or None
        else:
            first = condition.do(connection)
        return None if first is None else [first, *(write.do(connection) for write in writes)]


Shape = tuple[tuple[Prepared, int, Answer], ...]
"""The statements of one kind of transaction, and their numbers of rows."""

_TEXTS: Final[dict[Shape, str]] = {}


def _joined(connection: Connection, every: Sequence[Write]) -> list[Any] | None:
    shape = tuple((write.statement, len(write.rows), write.answer) for write in every)
    sql = _TEXTS.get(shape)
    if sql is None:  # two threads may both do this, with the same outcome
        sql = _TEXTS[shape] = _text(connection, every)
    values: dict[str, Any] = {}
    for number, write in enumerate(every):
        values |= write.statement.part_values(connection, f"w{number}_", write.rows)
    try:
        found = every[0].statement.first_of(connection, sql, values)
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", "") == _NOTHING_FOUND:
            return None
        raise
    if found is None:
        return None
    answers, at = [], 1
    for write in every:
        if write.answer == "row":
            row = write.statement.row_from(connection, found[at:])
            answers.append(row)
            at += len(row)
        else:
            answers.append(found[at] if write.answer == "value" else None)
            at += 1
    return answers


def _text(connection: Connection, every: Sequence[Write]) -> str:
    """Inserts of single rows insert none if the condition finds none. Anything else is undone by an error, which
    PostgreSQL writes into its log: only for what hardly ever happens."""
    inserts = _inserts(connection, every[1:])
    parts, results, rows = [], [], []
    for number, write in enumerate(every):
        name = f"w{number}"
        sql = write.statement.part(connection, f"{name}_", len(write.rows))
        if number and inserts is not None:
            sql = inserts[number - 1]
        parts.append(f"{name} AS ({sql}{_WORDS[write.answer]})")
        results.append(_RESULTS[write.answer].format(name))
        if write.answer == "row" and (number or inserts is None):
            rows.append(f" LEFT JOIN {name} ON true")
    found, condition = ("1", "w0") if inserts is not None else ("condition.found", _OR_UNDONE)
    return f"WITH {', '.join(parts)} SELECT {found}, {', '.join(results)} FROM {condition}{''.join(rows)}"  # noqa: S608 - our own words


def _inserts(connection: Connection, writes: Sequence[Write]) -> list[str] | None:
    """The texts of these writes, which insert nothing where the condition found nothing; None if one of them is no
    insert of a single row."""
    found: list[str] = []
    for number, write in enumerate(writes, 1):
        sql = write.statement.part_if(connection, f"w{number}_", "w0") if len(write.rows) == 1 else None
        if sql is None:
            return None
        found.append(sql)
    return found


_OR_UNDONE: Final = "(SELECT 1 / count(*) AS found FROM w0) AS condition"
"""The condition is read first, and each part to its end when its result is wanted."""

_WORDS: Final[dict[Answer, str]] = {"nothing": " RETURNING 1", "value": "", "row": ""}
_RESULTS: Final[dict[Answer, str]] = {
    "nothing": "(SELECT count(*) FROM {})",
    "value": "(SELECT * FROM {} LIMIT 1)",
    "row": "{}.*",
}
