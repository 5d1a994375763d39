"""A short round of chaos on each database; `make chaos SECONDS=600` makes long ones."""

from __future__ import annotations

from collections import Counter

import pytest

from anthropic_standin.standin_server import OfflineServer
from tests.chaos.driver import Plan, let_loose
from tests.harness.postgres import PostgresServer


def enough(counts: Counter[str]) -> bool:
    """Was this a chaos at all? How much of one depends on how busy the machine is."""
    return counts["run: 200"] >= 3 and any(what.startswith("trouble") for what in counts)


def test_nothing_breaks_on_sqlite(model: OfflineServer) -> None:
    notes = let_loose(Plan(seed=1, seconds=5), model)
    assert notes.problems == [], notes.problems
    assert enough(notes.counts), notes.counts


@pytest.mark.postgres
def test_nothing_breaks_on_postgresql(model: OfflineServer, postgres: PostgresServer) -> None:
    notes = let_loose(Plan(seed=2, seconds=5, database=postgres), model)
    assert notes.problems == [], notes.problems
    assert enough(notes.counts), notes.counts
