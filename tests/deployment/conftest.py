"""Fixtures of the tests that start servers with settings of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.harness.wheel import install_wheel
from tests.harness.wire import Client

Connect = Callable[[str], Client]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Makes clients of several servers, and closes them."""
    with ExitStack() as clients:

        def make(url: str) -> Client:
            client = Client(url)
            clients.callback(client.close)
            return client

        yield make


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the programs of an environment in which Baton's wheel is installed."""
    return install_wheel(tmp_path_factory.mktemp("wheel"))
