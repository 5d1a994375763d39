"""Statements of the hot path: SQLAlchemy compiles each once, and the driver runs it.

SQLAlchemy's work for each execution (cache key, context, result) costs several times what the driver needs for these
small statements, and a run makes dozens of them: a session's row on SQLite took 30 µs prepared, 290 µs as a statement
of SQLAlchemy's that was built once, and 750 µs as one that was built each time. Transactions and connections stay
SQLAlchemy's, and so do queries that are put together from filters.
"""

from __future__ import annotations

import re
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Final, TypeVar

from sqlalchemy import Boolean, Connection, Dialect, Executable, LargeBinary
from sqlalchemy.exc import DBAPIError, IntegrityError

Values = Mapping[str, Any]
Process = Callable[[Any], Any]
Key = TypeVar("Key")

MAX_ROWS: Final = 500  # in one statement, which has room for 65,535 parameters

_NONE: Final[Values] = {}
_INSERT: Final = re.compile(r"(INSERT INTO .*? VALUES )(\(.*?\))((?: ON CONFLICT .*)?)", re.DOTALL)
_ONE_ROW: Final = re.compile(r"(INSERT INTO .*?) VALUES \((.*)\)( RETURNING .*)?", re.DOTALL)
_PARAMETER: Final = re.compile(r"%\((\w+)\)s")


class Prepared:
    """A statement whose parameters are `bindparam`s of one value each. Runs in the transaction of the connection
    that it is given, if there is one. Rows have their columns as attributes. Raises what SQLAlchemy would raise.
    """

    def __init__(self, statement: Executable, *, columns: Sequence[str] | None = None) -> None:
        """`columns` are those that an insert or update without `values` is given; none: all that it names."""
        self._statement = statement
        self._columns = columns
        self._forms: dict[str, DialectSql] = {}

    def all(self, connection: Connection, values: Values = _NONE) -> list[Any]:
        return self._form(connection).rows(self.plain(connection, values))

    def plain(self, connection: Connection, values: Values = _NONE) -> list[Sequence[Any]]:
        """Rows as the driver has them, for what is long: columns have no names, and truth values are numbers on
        some databases."""
        form = self._form(connection)
        with form.cursor(connection) as cursor:
            cursor.execute(form.sql, form.bound(values))
            rows: list[Sequence[Any]] = cursor.fetchall()
            return rows

    def first(self, connection: Connection, values: Values = _NONE) -> Any:
        """None if there is no row."""
        form = self._form(connection)
        with form.cursor(connection) as cursor:
            cursor.execute(form.sql, form.bound(values))
            found = cursor.fetchone()
            return None if found is None else form.row(found)

    def scalar(self, connection: Connection, values: Values = _NONE) -> Any:
        """The first column of the first row; None if there is none."""
        found = self.first(connection, values)
        return None if found is None else found[0]

    def run(self, connection: Connection, values: Values = _NONE) -> int:
        """The number of rows that it changed."""
        form = self._form(connection)
        with form.cursor(connection) as cursor:
            cursor.execute(form.sql, form.bound(values))
            return int(cursor.rowcount)

    def insert_all(self, connection: Connection, rows: Sequence[Values]) -> None:
        """For an insert of one row: inserts all of these.

        psycopg's `executemany` would send them in a pipeline, after which PostgreSQL does not count how long the
        transaction is idle: of a process that is stopped there, it would keep the locks for ever.
        """
        form = self._form(connection)
        bound = [form.bound(values) for values in rows]
        with form.cursor(connection) as cursor:
            if connection.dialect.name == "sqlite":
                cursor.executemany(form.sql, bound)
                return
            for start in range(0, len(bound), MAX_ROWS):
                some = bound[start : start + MAX_ROWS]
                values = {f"{name}_{n}": value for n, row in enumerate(some) for name, value in row.items()}
                cursor.execute(form.insert_of(len(some)), values)

    def part(self, connection: Connection, prefix: str, rows: int) -> str:
        """The statement as a part of a longer one: before the names of its parameters stands the prefix. `rows`: for so
        many, if it is an insert of one. For psycopg."""
        form = self._form(connection)
        sql = form.sql if rows == 1 else form.insert_of(rows)
        return _PARAMETER.sub(rf"%({prefix}\1)s", sql)

    def part_if(self, connection: Connection, prefix: str, condition: str) -> str | None:
        """An insert of one row as such a part, which inserts a row for each row of another part; None for another
        statement."""
        return _inserting_for_each(self.part(connection, prefix, 1), condition)

    def part_values(self, connection: Connection, prefix: str, rows: Sequence[Values]) -> dict[str, Any]:
        """The values of such a part."""
        form = self._form(connection)
        if len(rows) == 1:
            return {f"{prefix}{name}": value for name, value in form.bound(rows[0]).items()}
        return {
            f"{prefix}{name}_{n}": value
            for n, row in enumerate(rows)
            for name, value in form.bound(row).items()
        }

    def row_from(self, connection: Connection, values: Sequence[Any]) -> Any:
        """Its row, which stands at the beginning of a longer one."""
        return self._form(connection).row_from(values)

    def first_of(self, connection: Connection, sql: str, values: Values) -> Any:
        """The first row, as the driver has it, of a statement that this one is a part of."""
        with self._form(connection).cursor(connection) as cursor:
            cursor.execute(sql, values)
            return cursor.fetchone()

    def _form(self, connection: Connection) -> DialectSql:
        dialect = connection.dialect
        form = self._forms.get(dialect.name)
        if form is None:  # two threads may both do this, with the same outcome
            form = self._forms[dialect.name] = DialectSql(self._statement, dialect, self._columns)
        return form


class DialectSql:
    """A statement in the words of one kind of database."""

    def __init__(self, statement: Executable, dialect: Dialect, columns: Sequence[str] | None) -> None:
        kind: Any = type(dialect)
        named = dialect if dialect.paramstyle == "pyformat" else kind(paramstyle="named")
        compiled: Any = statement.compile(  # type: ignore[attr-defined]  # every statement has it
            dialect=named,
            column_keys=None if columns is None else list(columns),
        )
        self.sql = str(compiled)
        self._driver = dialect.loaded_dbapi
        self._given = dict(compiled.params)
        self._bind = _processors(
            (name, bind.type.dialect_impl(dialect).bind_processor(dialect))
            for bind, name in compiled.bind_names.items()
            if not isinstance(bind.type, LargeBinary)  # drivers take bytes as they are
        )
        shown = list(getattr(statement, "exported_columns", ()))
        self._load = _processors(
            (index, column.type.dialect_impl(dialect).result_processor(dialect, None))
            for index, column in enumerate(shown)
            if isinstance(column.type, Boolean)  # text, numbers and bytes come as they are
        )
        names = [str(column.key) for column in shown]
        row: Any = namedtuple("row", names, rename=True)  # type: ignore[misc]  # known only here
        self._row = row._make
        self._width = len(names)

    @contextmanager
    def cursor(self, connection: Connection) -> Iterator[Any]:
        cursor = connection.connection.cursor()
        try:
            yield cursor
        except self._driver.IntegrityError as error:
            raise IntegrityError(self.sql, None, error) from error
        except self._driver.Error as error:
            raise DBAPIError(self.sql, None, error) from error
        finally:
            cursor.close()

    def insert_of(self, rows: int) -> str:
        """The insert for so many rows, whose parameters have the row's number behind their names."""
        head, row, tail = self._insert
        return f"{head}{', '.join(row.format(n=n) for n in range(rows))}{tail}"

    @cached_property
    def _insert(self) -> tuple[str, str, str]:
        """The parts of an insert before, of, and behind a row, the row as a template for its number."""
        head, row, tail = _INSERT.fullmatch(self.sql).groups()  # type: ignore[union-attr]  # it is one
        row = row.replace("{", "{{").replace("}", "}}")
        return head, _PARAMETER.sub(r"%(\1_{n})s", row), tail

    def bound(self, values: Values) -> Values:
        if not self._bind and values.keys() >= self._given.keys():
            return values
        bound = {**self._given, **values}
        for name, process in self._bind:
            bound[name] = process(bound[name])
        return bound

    def row(self, values: Sequence[Any]) -> Any:
        if self._load:
            values = list(values)
            for index, process in self._load:
                values[index] = process(values[index])
        return self._row(values)

    def row_from(self, values: Sequence[Any]) -> Any:
        return self.row(values[: self._width])

    def rows(self, found: Sequence[Sequence[Any]]) -> list[Any]:
        return [self.row(values) for values in found]


def _inserting_for_each(sql: str, other: str) -> str | None:
    found = _ONE_ROW.fullmatch(sql)
    return None if found is None else f"{found[1]} SELECT {found[2]} FROM {other}{found[3] or ''}"  # noqa: S608 - of a statement


def _processors(found: Iterable[tuple[Key, Process | None]]) -> list[tuple[Key, Process]]:
    return [(key, process) for key, process in found if process is not None]
