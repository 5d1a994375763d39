"""Fixtures of the tests that start servers with settings of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

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
