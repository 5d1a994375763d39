"""A nursery for the doomed, and a server that comes after them on the same database; both for a whole module."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from tests.conftest import make_settings, our_threads
from tests.harness.postgres import PostgresServer
from tests.harness.process import eventually
from tests.kill_points.aftermath import Aftermath
from tests.kill_points.nursery import Nursery


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    """In memory: a process that is killed leaves its files whole, and a disk would make every write wait."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="baton-", dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, directory: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{directory / 'baton.db'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery() as one:
        yield one


@pytest.fixture(scope="module")
def survivor(directory: Path, stand_in: OfflineServer, database_url: str) -> Iterator[Server]:
    """Another server on the same host and database: the restarted one, or a colleague."""
    built = build(make_settings(directory, stand_in.url, database_url=database_url))
    yield built
    built.close()
    eventually(lambda: not our_threads(), f"these threads ended: {our_threads()}")


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> None:
    """The server outlives each test here; its threads are looked for at its end."""


@pytest.fixture
def aftermath(nursery: Nursery, survivor: Server, model: OfflineServer, directory: Path) -> Aftermath:
    return Aftermath(nursery, survivor, model, directory)
