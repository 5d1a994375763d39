"""A loaded database of schema 0001, of each kind, and servers on it, of the old code and of this."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from anthropic_standin.standin_server import OfflineServer
from tests.harness.process import ROOT, BatonProcess
from tests.harness.wire import Client
from tests.upgrades.dumps import load
from tests.upgrades.filling import AGENTS, ANN, OPERATOR, SETTINGS
from tests.upgrades.old_code import SCHEMA_0001, unpack

StartOn = Callable[..., BatonProcess]
Connect = Callable[..., Client]


@pytest.fixture(scope="session")
def old_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The last code that knew schema 0001 only."""
    return unpack(SCHEMA_0001, tmp_path_factory.mktemp("old-code"))


@pytest.fixture
def filled_url(empty_url: str, tmp_path: Path) -> str:
    """A database as the old code has left it an hour ago."""
    load(empty_url, tmp_path)
    return empty_url


@contextmanager
def servers_on(url: str, directory: Path, model_url: str) -> Iterator[StartOn]:
    """Starts servers of some tree's code on a database, and ends them."""
    with ExitStack() as started:

        def start(root: Path = ROOT) -> BatonProcess:
            process = BatonProcess(
                directory, model_url=model_url, agents=AGENTS, database_url=url, settings=SETTINGS, root=root
            )
            started.callback(process.kill)
            return process.start()

        yield start


@pytest.fixture
def start(filled_url: str, tmp_path: Path, model: OfflineServer) -> Iterator[StartOn]:
    with servers_on(filled_url, tmp_path, model.url) as start:
        yield start


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Clients of servers: Ann, unless the operator is asked for."""
    with ExitStack() as clients:

        def make(server: BatonProcess, *, operator: bool = False) -> Client:
            client = Client(server.url, token=OPERATOR if operator else ANN)
            clients.callback(client.close)
            return client

        yield make
