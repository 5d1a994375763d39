"""A sample of the walk, the same each time; `make chaos` makes all of it (`python -m tests.walk`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from anthropic_standin.standin_server import OfflineServer
from tests.conftest import our_threads
from tests.harness.postgres import PostgresServer
from tests.harness.process import eventually
from tests.kill_points.conftest import directory
from tests.walk.faults import FAULTS, Fault, Point, Tripped, Tripwire
from tests.walk.scenarios import SCENARIOS
from tests.walk.steps import all_steps
from tests.walk.walker import Walker

SEED = 1
SAMPLE = [
    pytest.param("postgres", name, marks=pytest.mark.postgres) if turn % 2 else ("sqlite", name)
    for turn, name in enumerate(list(SCENARIOS)[::4])
]
"""One step of every fourth scenario, on the databases in turn."""

__all__ = ["directory"]


@pytest.fixture(scope="module")
def walker(request: pytest.FixtureRequest, directory: Path, stand_in: OfflineServer) -> Iterator[Walker]:
    url = f"sqlite:///{directory / 'baton.db'}"
    if request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres")
        url = server.new_database()
    with Walker(directory, url, stand_in) as one:
        yield one
    eventually(lambda: not our_threads(), f"these threads ended: {our_threads()}")


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> None:
    """The surviving server outlives each test here; its threads are looked for at its end."""


@pytest.mark.parametrize(("walker", "scenario"), SAMPLE, indirect=["walker"])
def test_the_promises_hold_though_a_touch_of_the_world_goes_wrong(walker: Walker, scenario: str) -> None:
    step = all_steps({scenario: walker.points(scenario)}, FAULTS, seed=SEED)[0]
    verdict = walker.walk(step)
    assert not verdict.problems, f"{step} ({verdict.touched}): {verdict.problems}\n{verdict.log}"


@pytest.mark.parametrize(("fault", "failed"), [("once", 1), ("away", 2)])
def test_a_tripwire_lets_the_touch_fail_that_it_was_set_to(fault: Fault, failed: int) -> None:
    wire = Tripwire(Point("statement", "MainThread", 2), fault)
    wire.touch("statement", "before it is armed")
    wire.arm()
    failures = [_touch(wire, kind) for kind in ("statement", "thread", "statement", "commit", "thread")]
    assert failures == [False, False, True, failed == 2, False]
    assert wire.tripped == "statement"


def _touch(wire: Tripwire, kind: str) -> bool:
    try:
        wire.touch(Point.read(f"{kind}/MainThread/1").kind, kind)
    except Tripped:
        return True
    return False
