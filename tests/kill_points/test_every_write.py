"""F16, F17: a server dies right before or right after each of its writes, and nothing is broken."""

from __future__ import annotations

import itertools
import random

import pytest

from tests.kill_points.aftermath import Aftermath

pytestmark = pytest.mark.xdist_group("kill points")

MOST_WRITES = 60


@pytest.mark.parametrize(
    ("database_url", "moment"),
    [
        ("sqlite", "before"),
        ("sqlite", "after"),
        pytest.param("postgres", "before", marks=pytest.mark.postgres),
        pytest.param("postgres", "after", marks=[pytest.mark.postgres, pytest.mark.thorough]),
    ],
    indirect=["database_url"],
)
def test_f16_f17_a_server_that_dies_at_a_write_leaves_a_session_that_works_at_once(
    aftermath: Aftermath, moment: str
) -> None:
    """Walks through every write of a run with three tool calls, until one survives them all."""
    first_runs: list[str] = []
    for number in itertools.count(1):
        assert number < MOST_WRITES, "the run never survives"
        text, marks = aftermath.script()
        session, life = aftermath.doom(text, at_write=number, moment=moment)
        aftermath.next_message_works(session, restarted=bool(number % 2))
        aftermath.everything_holds(session, life, marks)
        first_runs += aftermath.states(session)[:1]
        if life.survived:
            break
    assert number > 10, "these are too few writes for such a run"
    assert {"interrupted", "finished"} <= set(first_runs)


def test_f16_f17_a_server_that_dies_at_any_moment_does_so_too(
    aftermath: Aftermath, request: pytest.FixtureRequest
) -> None:
    """A sample, or two hundred: `make chaos` begins with them."""
    chance = random.Random(7)
    for number in range(200 if request.config.getoption("--thorough") else 5):
        text, marks = aftermath.script()
        session, life = aftermath.doom(text, after_seconds=chance.uniform(0.005, 0.3))
        aftermath.next_message_works(session, restarted=bool(number % 2))
        aftermath.everything_holds(session, life, marks)


def test_f16_an_accepted_follow_up_is_never_lost_and_never_said_twice(aftermath: Aftermath) -> None:
    for number in itertools.count(2):
        assert number < MOST_WRITES, "the run never survives"
        moment = ("before", "after")[number % 2]
        session, life = aftermath.doom(
            "[words 20][pace 150]", follow_up="my follow-up", at_write=number, moment=moment
        )
        aftermath.next_message_works(session, restarted=bool(number % 2))
        said = sum(message["content"] == "my follow-up" for message in aftermath.client.messages(session))
        waits = str(aftermath.client.call("GET", f"/api/sessions/{session}/queue")).count("my follow-up")
        assert said + waits <= 1
        assert said + waits == 1 or "followup accepted" not in life.types
        if life.survived:
            break
