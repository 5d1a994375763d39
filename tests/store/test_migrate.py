"""Migrations make what the tables say, whoever runs them and however often."""

from __future__ import annotations

import multiprocessing
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, event, inspect

from app.errors import StoreUnavailable
from app.store import migrate as migrate_module
from app.store.engine import Database
from app.store.migrate import migrate
from app.store.store import Store
from app.store.tables import metadata
from tests.harness.rows import all_rows
from tests.store.actors import begin, new_session


def _migrate(url: str) -> None:
    database = Database(url, connections=1)
    migrate(database)
    database.close()


UNSPEAKABLE = ("search_words", "entries_by_words", "sessions_by_activity", "roots_by_activity")
"""What SQLAlchemy has no words for: a virtual table with those that belong to it, and indexes of expressions."""


def differences(connection: Connection) -> list[Any]:
    """Between a database and the tables as they are described."""

    def described(_: object, name: str | None, *__: object) -> bool:
        return not (name or "").startswith(UNSPEAKABLE)

    context = MigrationContext.configure(connection, opts={"include_object": described})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Skipped unsupported reflection of expression-based index")
        return list(compare_metadata(context, metadata))


def test_migrations_make_exactly_the_tables(database: Database) -> None:
    with database.reading() as connection:
        assert differences(connection) == []
        for table in metadata.sorted_tables:
            if table.name == "sessions" and database.kind == "sqlite":
                continue  # its indexes can't all be read in this way
            found = {str(index["name"]) for index in inspect(connection).get_indexes(table.name)}
            assert {str(index.name) for index in table.indexes} <= found


def test_the_newest_revision_is_known_by_name() -> None:
    scripts = ScriptDirectory(str(Path(migrate_module.__file__).parent / "migrations"))
    assert scripts.get_current_head() == migrate_module.NEWEST


def test_migrating_again_changes_nothing(store: Store) -> None:
    begin(store, new_session(store).id, "hello")
    before = all_rows(store.database)
    migrate(store.database)
    assert all_rows(store.database) == before


def test_what_live_runs_write_to_is_migrated_last(empty_url: str) -> None:
    """On PostgreSQL a lock lasts until the end of the transaction. A lease is renewed in `runs`, so nothing slow may
    follow a statement on it in the same step from one version to the next. A new table is empty, and noting a revision
    or a column that may be null is quick; every write of a run takes `runs` first."""
    database = Database(empty_url)
    seen: list[str] = []
    with event_of_statements(seen):
        migrate(database)
    database.close()
    steps: list[list[str]] = [[]]
    for sql in seen:
        if "alembic_version" in sql and sql.startswith(("INSERT", "UPDATE")):
            steps.append([])
        elif re.match(CHANGE, sql) and not re.match(QUICK, sql):
            steps[-1].append(sql)
    newer = steps[1:]  # than the first, which makes an empty database
    assert any(newer)
    for changes in newer:
        of_runs = [bool(re.search(r"\b(ON|TABLE|UPDATE|INTO|FROM) runs\b", sql)) for sql in changes]
        assert of_runs == sorted(of_runs), changes


CHANGE = r"\s*(CREATE(?! TABLE)|ALTER|DROP|UPDATE|INSERT|DELETE)"
QUICK = r"\s*ALTER TABLE (sessions|messages) ADD COLUMN (?!.*NOT NULL)"


@contextmanager
def event_of_statements(seen: list[str]) -> Iterator[None]:
    """Appends each statement that SQLAlchemy executes."""

    def note(_connection: Any, _cursor: Any, sql: str, *_: Any) -> None:
        seen.append(sql)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def test_four_processes_may_migrate_an_empty_database_at_once(empty_url: str) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_migrate, args=(empty_url,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    database = Database(empty_url)
    try:
        with database.reading() as connection:
            assert differences(connection) == []
    finally:
        database.close()


def test_a_database_that_can_not_be_reached_is_our_own_error() -> None:
    database = Database("postgresql://nobody@127.0.0.1:1/nothing")
    with pytest.raises(StoreUnavailable), database.reading():
        pass
    database.close()
