"""One server for the whole corpus: sessions don't know each other, so nothing is gained by a new one for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from tests.conftest import make_settings, our_threads
from tests.harness.process import eventually


@pytest.fixture(scope="module")
def server(stand_in: OfflineServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    built = build(make_settings(tmp_path_factory.mktemp("corpus"), stand_in.url))
    yield built
    built.close()
    eventually(lambda: not our_threads(), f"these threads ended: {our_threads()}")


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> None:
    """The server outlives each test here; its threads are looked for at its end."""
