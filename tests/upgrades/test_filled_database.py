"""A database that the old code has filled is brought to the newest schema, and everything in it goes on."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

from sqlalchemy import inspect, select
from sqlalchemy.engine.interfaces import ReflectedColumn

from app.conversation.search_words import SearchQuery, text_of, words_of
from app.store.engine import Database
from app.store.migrate import migrate
from app.store.store import Store
from app.store.tables import messages, runs, sessions
from tests.store.test_migrate import differences
from tests.upgrades.conftest import Connect, StartOn
from tests.upgrades.using import go_on, read_everything


def test_it_migrates_to_exactly_the_tables(filled_url: str) -> None:
    with closing(Database(filled_url)) as database:
        migrate(database)
        with database.reading() as connection:
            assert differences(connection) == []


def test_what_was_said_before_is_found_and_active_sessions_are_known(filled_url: str) -> None:
    with closing(Database(filled_url)) as database:
        migrate(database)
        store = Store(database, lease_seconds=30.0)
        with database.reading() as connection:
            said = connection.execute(
                select(messages).where(messages.c.role == "user", ~messages.c.implicit)
            ).all()
        assert said
        while store.search_index.step():
            pass
        for row in said:
            query = SearchQuery.parse(
                " ".join(words_of(text_of(row.role, json.loads(row.content_json))).split()[:8])
            )
            hits = store.search.find(query, limit=100)
            assert not query.terms or (row.session_id, row.position) in {
                (hit.session_id, hit.position) for hit in hits
            }
        with database.reading() as connection:
            with_runs = select(sessions).where(sessions.c.id.in_(select(runs.c.session_id)))
            assert all(row.active_at is not None for row in connection.execute(with_runs))


def test_old_columns_stay_and_new_ones_need_no_value(filled_url: str) -> None:
    """Or a statement of a process that runs the old code would fail after the migration."""
    with closing(Database(filled_url)) as database:
        before = columns(database)
        migrate(database)
        after = columns(database)
    for table, old in before.items():
        assert old.keys() <= after[table].keys()
        for name in after[table].keys() - old.keys():
            column = after[table][name]
            assert column["nullable"] or column["default"] is not None, f"{table}.{name}"


def columns(database: Database) -> dict[str, dict[str, ReflectedColumn]]:
    """By table and name."""
    with database.reading() as connection:
        seen = inspect(connection)
        return {
            table: {column["name"]: column for column in seen.get_columns(table)}
            for table in seen.get_table_names()
        }


def test_everything_in_it_can_be_read_and_goes_on(start: StartOn, connect: Connect, tmp_path: Path) -> None:
    server = start()
    client = connect(server)
    read_everything(client, connect(server, operator=True))
    go_on(client, tmp_path)
