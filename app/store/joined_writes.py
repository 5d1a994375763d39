"""Several small writes as one statement of PostgreSQL: one round trip, and a transaction in which nothing waits for us.

The first is the condition of the others: when it finds no row, nothing is written. All of them see the database as it
was when the statement began. What must not have changed since is said with `is_as_seen`; the writer then does the same
step by step, in a transaction that sees what is there by then. SQLite can't join writes, and has no network to spare.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Boolean, Connection, Table
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from app.store.prepared_statements import Prepared, Values

_NOTHING_FOUND: Final = "22012"  # division by zero: the only way for a statement to undo itself


@dataclass(frozen=True, slots=True)
class Write:
    """One statement: a change, or an insert of several rows. With `answers` it returns one value."""

    statement: Prepared
    rows: Sequence[Values]
    answers: bool = False

    def do(self, connection: Connection) -> Any:
        """The value that it returns; else nothing."""
        if self.answers:
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


def write_joined(connection: Connection, condition: Write, writes: Sequence[Write]) -> list[Any] | None:
    """What the writes return, as `Write.do` would; None if the condition found no row, and nothing was written. On
    PostgreSQL, on a connection that is in no transaction."""
    every = (condition, *writes)
    shape = tuple((write.statement, len(write.rows), write.answers) for write in every)
    sql = _TEXTS.get(shape)
    if sql is None:  # two threads may both do this, with the same outcome
        sql = _TEXTS[shape] = _text(connection, every)
    values: dict[str, Any] = {}
    for number, write in enumerate(every):
        values |= write.statement.part_values(connection, f"w{number}_", write.rows)
    try:
        found = condition.statement.first_of(connection, sql, values)
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", "") == _NOTHING_FOUND:
            return None
        raise
    return [value if write.answers else None for write, value in zip(writes, found[1:], strict=True)]


_TEXTS: Final[dict[tuple[tuple[Prepared, int, bool], ...], str]] = {}
"""By shape, of which there are few: the statements of one kind of write, and its number of rows."""


def _text(connection: Connection, every: Sequence[Write]) -> str:
    """Parts are written in the order of the results: each is read to its end when its result is wanted."""
    parts, results = [], []
    for number, write in enumerate(every):
        name = f"w{number}"
        sql = write.statement.part(connection, f"{name}_", len(write.rows))
        parts.append(f"{name} AS ({sql if write.answers else f'{sql} RETURNING 1'})")
        results.append(_FIRST.format(name) if write.answers else _COUNT.format(name))
    return f"WITH {', '.join(parts)} SELECT 1 / {', '.join(results)}"


_FIRST: Final = "(SELECT * FROM {} LIMIT 1)"
_COUNT: Final = "(SELECT count(*) FROM {})"
