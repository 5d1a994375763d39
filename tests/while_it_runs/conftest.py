"""Two servers on one database, in this process: each has locks, logs and housekeeping of its own, so to each
other they are what two worker processes are. Where a process has to die, a test starts real ones.

They serve a whole module: every test makes sessions of its own.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from app.settings import Settings
from tests.conftest import held_by, make_settings
from tests.harness.gate import Gate
from tests.harness.in_process import LocalClient
from tests.harness.postgres import PostgresServer
from tests.harness.process import eventually

Servers = tuple[Server, Server]


def run_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(("run-", "title-"))]


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """Fails a test that leaves a run behind. Housekeepers live as long as their servers."""
    yield
    eventually(lambda: not run_threads(), f"these threads ended: {run_threads()}")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the sessions of a module work."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def settings(request: pytest.FixtureRequest, directory: Path, stand_in: OfflineServer) -> Settings:
    """The settings of both servers; once with each kind of database."""
    if request.param == "sqlite":
        return make_settings(directory, stand_in.url, database_url=f"sqlite:///{directory / 'two.db'}")
    postgres: PostgresServer = request.getfixturevalue("postgres")
    return make_settings(directory, stand_in.url, database_url=postgres.new_database())


@pytest.fixture(scope="module")
def servers(settings: Settings) -> Iterator[Servers]:
    first, second = build(settings), build(settings)
    yield first, second
    first.close()
    second.close()


@pytest.fixture(scope="module")
def server(directory: Path, stand_in: OfflineServer) -> Iterator[Server]:
    """One server on SQLite, for what does not depend on where it runs."""
    built = build(make_settings(directory, stand_in.url))
    yield built
    built.close()


def let_go(server: Server) -> None:
    eventually(lambda: not held_by(server), f"the server has let go of {held_by(server)}")


@pytest.fixture
def local(server: Server, model: OfflineServer) -> Iterator[LocalClient]:
    """A user of the one server."""
    yield LocalClient(server)
    let_go(server)


@pytest.fixture
def here(servers: Servers, model: OfflineServer) -> Iterator[LocalClient]:
    """A user of the server that does the work."""
    yield LocalClient(servers[0])
    for server in servers:
        let_go(server)


@pytest.fixture
def there(servers: Servers, model: OfflineServer) -> LocalClient:
    """A user of the other one."""
    return LocalClient(servers[1])


@pytest.fixture
def make_gate(directory: Path) -> Iterator[Callable[[], Gate]]:
    """For tool calls of the `tools` agent."""
    gates: list[Gate] = []

    def make() -> Gate:
        gates.append(Gate(directory, f"gate-{next(_numbers)}"))
        return gates[-1]

    yield make
    for gate in gates:
        gate.close()


@pytest.fixture
def gate(make_gate: Callable[[], Gate]) -> Gate:
    return make_gate()


_numbers = itertools.count()
