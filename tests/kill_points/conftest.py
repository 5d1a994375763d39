"""A nursery for the doomed, and a server that comes after them on the same database."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.factory import Server, build
from app.offline.server import OfflineServer
from tests.conftest import make_settings
from tests.kill_points.aftermath import Aftermath
from tests.kill_points.nursery import Nursery


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In memory: a process that is killed leaves its files whole, and a disk would make every write wait."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="baton-", dir=memory if memory.is_dir() else None) as directory:
        yield Path(directory)


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery() as one:
        yield one


@pytest.fixture
def survivor(tmp_path: Path, model: OfflineServer, database_url: str) -> Iterator[Server]:
    """Another server on the same host and database: the restarted one, or a colleague."""
    built = build(make_settings(tmp_path, model.url, database_url=database_url))
    yield built
    built.close()


@pytest.fixture
def aftermath(nursery: Nursery, survivor: Server, model: OfflineServer, tmp_path: Path) -> Aftermath:
    return Aftermath(nursery, survivor, model, tmp_path)
