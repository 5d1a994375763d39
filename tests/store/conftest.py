"""One database of each kind for a module: every test makes sessions of its own, so they don't meet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.store.engine import Database
from app.store.migrate import migrate
from app.store.store import Store
from tests.harness.postgres import PostgresServer

KINDS = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(scope="module", params=KINDS)
def shared_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    if request.param == "sqlite":
        directory: Path = tmp_path_factory.mktemp("store")
        return f"sqlite:///{directory / 'baton.db'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture(scope="module")
def database(shared_url: str) -> Iterator[Database]:
    database = Database(shared_url)
    migrate(database)
    yield database
    database.close()


@pytest.fixture
def store(database: Database) -> Store:
    return Store(database, lease_seconds=30.0)


@pytest.fixture
def impatient(database: Database) -> Store:
    """The same database, but leases that it gives have run out already."""
    return Store(database, lease_seconds=-1.0)
