"""F16, F17: a server dies right before or right after each of its writes, and nothing is broken."""

from __future__ import annotations

import itertools
import random

import pytest

from tests.chaos.invariants import broken_promises
from tests.kill_points.aftermath import Aftermath, call

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


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_server_that_dies_leaves_the_tasks_of_its_agents_to_be_seen(
    aftermath: Aftermath,
) -> None:
    """E29. Now and then it is the task's write."""
    store = aftermath.survivor.store
    ends: set[str] = set()
    for number in itertools.count(3, 4):
        assert number < MOST_WRITES, "the run never survives"
        marks = aftermath.marks()
        task = call("shell", cmd=f"echo a >> {marks}") + "[then][say helped]"
        text = call("run_background_agent", agent="helper", task=task) + "[then][words 20][pace 200]"
        session, life = aftermath.doom(text, agent="background", at_write=number)
        aftermath.next_message_works(session, restarted=True)
        aftermath.everything_holds(session, life, marks)
        tasks = store.background.tasks(session)
        assert len(tasks) == 1 or "tool_call_response" not in life.types, "what was told is stored"
        for one in tasks:
            assert broken_promises(store, only=one.session_id) == []
            ends.add(one.status)
        if life.survived:
            break
    assert "failed" in ends, "at least once it died while the task was under way"
