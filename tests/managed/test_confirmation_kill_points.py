"""A server dies right before or right after each of its writes while a client confirms calls of tools."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server
from app.managed.id_validation import number_of
from app.managed.run_answers import RunAnswers
from tests.chaos.invariants import broken_promises
from tests.harness.process import eventually
from tests.kill_points.conftest import database_url, directory, nothing_is_left_behind, survivor
from tests.kill_points.nursery import Nursery
from tests.managed.conftest import Sdk
from tests.managed.custom_calls import last_stop, listed
from tests.managed.sdk_shapes import complaints
from tests.managed.test_custom_kill_points import MOST_WRITES, at_once, children, sdk, stop_of
from tests.managed.test_sessions import say
from tests.managed.toolset_calls import ASK, TOOLSET, call, confirm
from tests.walk.managed_invariants import broken_events

__all__ = ["at_once", "children", "database_url", "directory", "nothing_is_left_behind", "sdk", "survivor"]

SAYS = "".join(call("bash", command=f"echo {n} >> ran") for n in (1, 2)) + "[then][say Done.]"


@pytest.mark.parametrize(
    ("database_url", "step"),
    [
        ("sqlite", 3),
        pytest.param("sqlite", 1, marks=pytest.mark.thorough),
        pytest.param("postgres", 1, marks=[pytest.mark.postgres, pytest.mark.thorough]),
    ],
    indirect=["database_url"],
)
def test_no_confirmation_is_lost_and_no_call_is_made_twice(
    children: Nursery, survivor: Server, sdk: Sdk, model: OfflineServer, directory: Path, step: int
) -> None:
    """Walks through the story's writes, or every third of them, until a child survives."""
    stops: set[str] = set()
    tools: Any = [{"type": TOOLSET, "default_config": {"permission_policy": ASK}}]
    agent = sdk.beta.agents.create(name="Asks", model="claude-sonnet-5-5", tools=tools).id
    environment = sdk.beta.environments.create(name="here").id
    for number in itertools.count(1, step):
        assert number < MOST_WRITES, "the story never ends"
        session = sdk.beta.sessions.create(agent=agent, environment_id=environment).id
        order = {
            "directory": str(directory),
            "database_url": survivor.settings.database_url,
            "model_url": survivor.settings.api_base_url,
            "session": session,
            "says": SAYS,
            "confirms": True,
            "at_write": number,
            "moment": ("before", "after")[number % 2],
        }
        seen: list[str] = []
        code = children.watch_one(json.dumps(order).encode() + b"\n", lambda one: seen.append(one["type"]))  # noqa: B023
        assert code in (0, -9), "the child's own words are above"
        come_to_rest(survivor, sdk, session)
        stops.add(stop_of(sdk, session))
        check(survivor, sdk, session, seen)
        assert model.violations == []
        if code == 0:
            break
    assert {"end_turn", "retries_exhausted"} <= stops <= {"", "end_turn", "retries_exhausted"}
    assert number > 12, "these are too few writes for such a story"


def come_to_rest(survivor: Server, sdk: Sdk, session: str) -> None:
    """The client goes on through the other server: it confirms what still waits for that."""
    number, answers = number_of(session), RunAnswers(survivor.store, survivor.control)

    def is_at_rest() -> bool:
        survivor.runtime.supervisor.recover()
        for stranded in survivor.store.queue.stranded():
            survivor.runtime.manager.start_queued(stranded)
        for stranded in survivor.store.decisions.stranded(0.0):
            answers.give(stranded, by="server")
        run = survivor.store.runs.live_run(number)
        if run is not None and run.status == "running":
            return False
        done = {event.tool_use_id for event in listed(sdk, session, "user.tool_confirmation")}
        if run is not None and (undecided := [use for use in last_stop(sdk, session) if use not in done]):
            sdk.beta.sessions.events.send(session, events=[confirm(use) for use in undecided])
        return run is None and not survivor.store.queue.stranded()

    eventually(is_at_rest, "the session is at rest")


def check(survivor: Server, sdk: Sdk, session: str, seen: list[str]) -> None:
    answer = sdk.beta.sessions.events.list(session)
    assert list(complaints(sdk.sent, type(answer))) == []
    events: list[Any] = list(answer)
    kinds = [event.type for event in events]
    assert "user.message" in kinds or "message" not in seen, "what was acknowledged is stored"
    uses = [event.id for event in events if event.type == "agent.tool_use"]
    confirmed = [event.tool_use_id for event in events if event.type == "user.tool_confirmation"]
    results = {event.tool_use_id: event for event in events if event.type == "agent.tool_result"}
    assert len(set(confirmed)) == len(confirmed), "a call is confirmed once"
    assert "results" not in seen or sorted(confirmed) == sorted(uses), "what was acknowledged is stored"
    assert len(results) == kinds.count("agent.tool_result"), "a call has one result"
    assert sorted(results) == sorted(uses), "each call has its result"
    file = Path(survivor.store.sessions.get(number_of(session)).working_dir) / "ran"
    ran = file.read_text().split() if file.exists() else []
    assert len(set(ran)) == len(ran), "a call is made once"
    for name, use in zip(("1", "2"), uses, strict=False):
        assert results[use].is_error or name in ran, "a call that went well was made"
        assert use in confirmed or name not in ran, "a call is made only if it was confirmed"
    assert all(event.processed_at is not None for event in events)
    assert not events or kinds[-1] == "session.status_idle"
    assert broken_promises(survivor.store, only=number_of(session)) == []
    assert list(broken_events(survivor.store, number_of(session), [])) == []
    sdk.beta.sessions.events.send(session, events=[say("[calm][say Still here.]")])
    come_to_rest(survivor, sdk, session)
    assert stop_of(sdk, session) == "end_turn"
