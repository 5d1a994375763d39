"""One gunicorn for all tests of this directory: each has sessions of its own, and none may break another's."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from anthropic_standin.standin_server import OfflineServer
from tests.conftest import AGENTS
from tests.harness.gate import Gate
from tests.harness.process import BatonProcess
from tests.harness.wire import Client


@pytest.fixture(scope="session")
def baton(stand_in: OfflineServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BatonProcess]:
    directory = tmp_path_factory.mktemp("baton")
    with BatonProcess(directory, model_url=stand_in.url, agents=AGENTS) as process:
        yield process


@pytest.fixture
def client(baton: BatonProcess, model: OfflineServer) -> Iterator[Client]:
    one = Client(baton.url)
    yield one
    one.close()


@pytest.fixture
def make_gate(baton: BatonProcess) -> Iterator[Callable[[], Gate]]:
    gates: list[Gate] = []

    def make() -> Gate:
        gates.append(Gate(baton.directory, f"gate-{next(_numbers)}"))
        return gates[-1]

    yield make
    for gate in gates:
        gate.close()


@pytest.fixture
def gate(make_gate: Callable[[], Gate]) -> Gate:
    return make_gate()


_numbers = itertools.count()
