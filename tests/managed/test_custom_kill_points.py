"""A server dies right before or right after each of its writes while a client makes calls for its agent."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server
from app.managed.id_validation import number_of
from app.managed.run_answers import RunAnswers
from app.store import queue_store
from tests.chaos.invariants import broken_promises
from tests.harness.process import eventually
from tests.kill_points.conftest import database_url, directory, nothing_is_left_behind, survivor
from tests.kill_points.nursery import Nursery
from tests.managed.conftest import Sdk
from tests.managed.custom_calls import (
    RESULT,
    TWO_CALLS,
    WEATHER,
    idle_events,
    last_stop,
    listed,
    new_session,
    results_of,
)
from tests.managed.sdk_shapes import complaints
from tests.managed.test_child_threads import to
from tests.managed.test_rosters import coordinator, member
from tests.managed.test_sessions import say
from tests.walk.managed_invariants import broken_events

__all__ = ["database_url", "directory", "nothing_is_left_behind", "survivor"]

MOST_WRITES = 60


class Alone:
    """The session's agent makes the calls."""

    says = TWO_CALLS

    def new_session(self, sdk: Sdk) -> str:
        return new_session(sdk)


class InAThread:
    """An agent to which it gives the work does."""

    says = f"{to(TWO_CALLS)}[then][say Done.]"

    def new_session(self, sdk: Sdk) -> str:
        lead = coordinator(sdk, member(sdk, tools=[WEATHER]).id)
        environment = sdk.beta.environments.create(name="here")
        return sdk.beta.sessions.create(agent=lead.id, environment_id=environment.id).id


@pytest.fixture(scope="module")
def children() -> Iterator[Nursery]:
    with Nursery("tests.managed.doomed") as one:
        yield one


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a dead process has left is looked for without waiting whether it comes to it itself."""
    monkeypatch.setattr(queue_store, "STRANDED_SECONDS", 0.0)


@pytest.fixture
def sdk(survivor: Server) -> Iterator[Sdk]:
    with Sdk(survivor, "anything") as client:
        yield client


@pytest.mark.parametrize(
    "database_url",
    ["sqlite", pytest.param("postgres", marks=[pytest.mark.postgres, pytest.mark.thorough])],
    indirect=True,
)
@pytest.mark.parametrize(
    "maker",
    [
        pytest.param(Alone, id="alone"),
        pytest.param(InAThread, id="in a thread", marks=pytest.mark.thorough),
    ],
)
def test_nothing_is_lost_and_no_call_is_answered_twice(
    children: Nursery,
    survivor: Server,
    sdk: Sdk,
    model: OfflineServer,
    directory: Path,
    maker: type[Alone | InAThread],
) -> None:
    """Walks through every write of the story, until a child survives them all."""
    stops: set[str] = set()
    story = maker()
    for number in itertools.count(1):
        assert number < MOST_WRITES, "the story never ends"
        session = story.new_session(sdk)
        settings = survivor.settings
        order = {
            "directory": str(directory),
            "database_url": settings.database_url,
            "model_url": settings.api_base_url,
            "session": session,
            "says": story.says,
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


def stop_of(sdk: Sdk, session: str) -> str:
    idle = idle_events(sdk, session)
    return str(idle[-1].stop_reason.type) if idle else ""


def come_to_rest(survivor: Server, sdk: Sdk, session: str) -> None:
    """The client goes on through the other server, as its own code would: it makes the calls that are still open."""
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
        done = {event.custom_tool_use_id for event in listed(sdk, session, RESULT)}
        if run is not None and (unmade := [use for use in last_stop(sdk, session) if use not in done]):
            sdk.beta.sessions.events.send(session, events=results_of(unmade))
        return run is None and not survivor.store.queue.stranded()

    eventually(is_at_rest, "the session is at rest")


def check(survivor: Server, sdk: Sdk, session: str, seen: list[str]) -> None:
    number = number_of(session)
    answer = sdk.beta.sessions.events.list(session)
    assert list(complaints(sdk.sent, type(answer))) == []
    events: list[Any] = list(answer)
    kinds = [event.type for event in events]
    assert "user.message" in kinds or "message" not in seen, "what was acknowledged is stored"
    uses = [event.id for event in events if event.type == "agent.custom_tool_use"]
    results = {event.custom_tool_use_id: event for event in events if event.type == RESULT}
    assert len(results) == kinds.count(RESULT), "a call has one result"
    assert sorted(results) == sorted(uses), "each call has its result"
    if "results" in seen:
        assert {use: one.content[0].text for use, one in results.items()} == {
            use: f"Result of {use}." for use in uses
        }
    assert all(event.processed_at is not None for event in events)
    if events:
        assert kinds[-1] == "session.status_idle"
    assert broken_promises(survivor.store, only=number) == []
    assert list(broken_events(survivor.store, number, [])) == []
    sdk.beta.sessions.events.send(session, events=[say("[calm][say Still here.]")])
    come_to_rest(survivor, sdk, session)
    assert stop_of(sdk, session) == "end_turn"
