"""The stand-in on a port of its own, and the real SDK in front of it."""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import pytest

from anthropic_standin.standin_server import OfflineServer


@pytest.fixture(scope="module")
def shared_server() -> Iterator[OfflineServer]:
    with OfflineServer() as server:
        yield server


@pytest.fixture
def server(shared_server: OfflineServer) -> Iterator[OfflineServer]:
    """Forgetful before each test, and without open streams after it."""
    shared_server.reset()
    yield shared_server
    assert shared_server.wait_until(lambda stats: stats.open_streams == 0)


@pytest.fixture(scope="module")
def shared_client(shared_server: OfflineServer) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=shared_server.url, api_key="x", max_retries=0, timeout=5) as client:
        yield client


@pytest.fixture
def client(shared_client: anthropic.Anthropic, server: OfflineServer) -> anthropic.Anthropic:
    return shared_client
