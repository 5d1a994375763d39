"""A short round of chaos on each database; `make chaos SECONDS=600` makes long ones."""

from __future__ import annotations

import pytest

from app.offline.server import OfflineServer
from tests.chaos.driver import Plan, let_loose
from tests.harness.postgres import PostgresServer

pytestmark = pytest.mark.xdist_group("chaos")


def test_nothing_breaks_on_sqlite(model: OfflineServer) -> None:
    notes = let_loose(Plan(seed=1, seconds=7), model)
    assert notes.problems == [], notes.problems
    assert notes.counts["run: 200"] > 10, "this is not much of a chaos"


@pytest.mark.postgres
def test_nothing_breaks_on_postgresql(model: OfflineServer, postgres: PostgresServer) -> None:
    notes = let_loose(Plan(seed=2, seconds=7, database=postgres), model)
    assert notes.problems == [], notes.problems
    assert notes.counts["run: 200"] > 10, "this is not much of a chaos"
