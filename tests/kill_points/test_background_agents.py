"""E29: a server dies right after one of the writes of a run and of the task that it has started beside it."""

from __future__ import annotations

import itertools

import pytest

from tests.chaos.invariants import broken_promises
from tests.kill_points.aftermath import Aftermath, call

pytestmark = pytest.mark.xdist_group("kill points")

MOST_WRITES = 40


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_server_that_dies_leaves_tasks_that_can_be_seen_and_conversations_that_work(
    aftermath: Aftermath,
) -> None:
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
