"""Real servers that are shown nothing that only Linux has, or are told that they run on macOS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from anthropic_standin.standin_server import OfflineServer
from tests.conftest import AGENTS
from tests.harness.process import ROOT, BatonProcess
from tests.harness.sqlite import sqlite_in

HIDDEN = Path(__file__).parent / "hidden"
LEASE = 3  # seconds; the shortest that there is


@dataclass(frozen=True)
class Laptop:
    """`start` makes servers that share a directory, and so a database."""

    directory: Path
    start: Callable[..., BatonProcess]


@pytest.fixture(scope="module", params=["", "darwin"], ids=["without Linux", "as macOS"])
def laptop(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, stand_in: OfflineServer
) -> Iterator[Laptop]:
    directory = tmp_path_factory.mktemp("laptop")
    sqlite_in(directory)
    started: list[BatonProcess] = []

    def start(**settings: str) -> BatonProcess:
        hiding = {"PYTHONPATH": f"{HIDDEN}:{ROOT}", "PYTHON_HIDDEN_AS": request.param}
        lease = {"BATON_LEASE_SECONDS": str(LEASE)}
        process = BatonProcess(
            directory,
            model_url=stand_in.url,
            agents=AGENTS,
            settings={**hiding, **lease, **settings},
            cold=True,
        )
        started.append(process)
        return process.start()

    yield Laptop(directory, start)
    for process in started:
        process.kill()
