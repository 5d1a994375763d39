"""A database that the old code has filled is brought to the newest schema, and everything in it goes on."""

from __future__ import annotations

from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from app.store.engine import Database
from app.store.migrate import migrate
from app.store.tables import metadata
from tests.upgrades.conftest import Connect, StartOn
from tests.upgrades.using import go_on, read_everything


def test_it_migrates_to_exactly_the_tables(filled_url: str) -> None:
    database = Database(filled_url)
    try:
        migrate(database)
        with database.reading() as connection:
            assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    finally:
        database.close()


def test_everything_in_it_can_be_read_and_goes_on(start: StartOn, connect: Connect, tmp_path: Path) -> None:
    server = start()
    client = connect(server)
    read_everything(client, connect(server, operator=True))
    go_on(client, tmp_path)
