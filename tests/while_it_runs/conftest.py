"""Two servers on one database, in this process: each has locks, logs and housekeeping of its own, so to each
other they are what two worker processes are. Where a process has to die, a test starts real ones."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.factory import Server, build
from app.offline.server import OfflineServer
from tests.conftest import make_settings
from tests.harness.gate import Gate
from tests.harness.in_process import LocalClient

Servers = tuple[Server, Server]


@pytest.fixture
def local(server: Server) -> LocalClient:
    """A user of one server on SQLite, for what does not depend on where it runs."""
    return LocalClient(server)


@pytest.fixture
def servers(database_url: str, tmp_path: Path, model: OfflineServer) -> Iterator[Servers]:
    settings = make_settings(tmp_path, model.url, database_url=database_url)
    first, second = build(settings), build(settings)
    yield first, second
    first.close()
    second.close()


@pytest.fixture
def here(servers: Servers) -> LocalClient:
    """A user of the server that does the work."""
    return LocalClient(servers[0])


@pytest.fixture
def there(servers: Servers) -> LocalClient:
    """A user of the other one."""
    return LocalClient(servers[1])


@pytest.fixture
def make_gate(tmp_path: Path) -> Iterator[Callable[[], Gate]]:
    """For tool calls of the `tools` agent, which has to work in `tmp_path`."""
    gates: list[Gate] = []
    numbers = itertools.count()

    def make() -> Gate:
        gates.append(Gate(tmp_path, f"gate-{next(numbers)}"))
        return gates[-1]

    yield make
    for gate in gates:
        gate.close()


@pytest.fixture
def gate(make_gate: Callable[[], Gate]) -> Gate:
    return make_gate()
