"""Real servers that are shown nothing that only Linux has, or are told that they run on macOS."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from anthropic_standin.standin_server import OfflineServer
from tests.conftest import AGENTS
from tests.harness.process import ROOT, BatonProcess
from tests.harness.sqlite import sqlite_in

HIDDEN = Path(__file__).parent / "hidden"


@dataclass(frozen=True)
class Laptop:
    """`start` makes servers that share a directory, and so a database. The lease is short where nothing else tells
    that a process is gone."""

    directory: Path
    start: Callable[..., BatonProcess]


@pytest.fixture(scope="module", params=["", "darwin"], ids=["without Linux", "as macOS"])
def laptop(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, stand_in: OfflineServer
) -> Iterator[Laptop]:
    directory = tmp_path_factory.mktemp("laptop")
    sqlite_in(directory)
    started: list[BatonProcess] = []
    programs = directory / "programs"
    programs.mkdir()
    (programs / "sysctl").write_text("#!/bin/sh\necho 8F1A6A5B-2C0D-4C79-9B39-6C6B2F2F1D11\n")
    (programs / "sysctl").chmod(0o755)

    def start(**settings: str) -> BatonProcess:
        hiding = {"PYTHONPATH": f"{HIDDEN}:{ROOT}", "PYTHON_HIDDEN_AS": request.param}
        if request.param:
            hiding["PATH"] = f"{programs}:{os.environ['PATH']}"
        else:
            hiding["BATON_LEASE_SECONDS"] = "3"
        process = BatonProcess(
            directory,
            model_url=stand_in.url,
            agents=AGENTS,
            settings={"BATON_LEASE_SECONDS": "600", **hiding, **settings},
            cold=True,
        )
        started.append(process)
        return process.start()

    yield Laptop(directory, start)
    for process in started:
        process.kill()
