"""A server dies right before or right after each of its writes while a worker makes calls for its agent, and the worker
with it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server
from app.managed.id_validation import number_of
from app.managed.run_answers import RunAnswers
from app.managed.work import WorkEnds
from app.store.managed_tables import work_items
from app.store.work_rows import is_leased
from tests.chaos.invariants import broken_promises
from tests.harness.process import eventually
from tests.kill_points.conftest import database_url, directory, nothing_is_left_behind, survivor
from tests.kill_points.nursery import Nursery
from tests.managed.conftest import Sdk
from tests.managed.sdk_shapes import complaints
from tests.managed.self_hosted import RESULT, environment_of, new_session
from tests.managed.test_custom_kill_points import at_once, children, sdk, stop_of
from tests.managed.test_sessions import say
from tests.managed.work_story import work

__all__ = [
    "at_once",
    "children",
    "database_url",
    "directory",
    "nothing_is_left_behind",
    "sdk",
    "survivor",
]

MOST_WRITES = 80
UNKNOWN = "The outcome of this call is unknown"


@pytest.fixture(scope="module")
def environment(survivor: Server) -> Iterator[str]:
    with Sdk(survivor, "anything") as one:
        yield environment_of(one)


@pytest.mark.parametrize(
    ("database_url", "step"),
    [
        ("sqlite", 3),
        pytest.param("sqlite", 1, marks=pytest.mark.thorough),
        pytest.param("postgres", 1, marks=[pytest.mark.postgres, pytest.mark.thorough]),
    ],
    indirect=["database_url"],
)
def test_no_call_is_made_twice_and_each_has_one_result(
    children: Nursery,
    survivor: Server,
    sdk: Sdk,
    model: OfflineServer,
    directory: Path,
    environment: str,
    step: int,
) -> None:
    """Walks through the writes of the story, until a child survives them all."""
    unknown = 0
    for walked, number in enumerate(itertools.count(1, step)):
        assert number < MOST_WRITES, "the story never ends"
        session = new_session(sdk, environment=environment)
        settings = survivor.settings
        order = {
            "story": "work",
            "directory": str(directory),
            "database_url": settings.database_url,
            "model_url": settings.api_base_url,
            "session": session,
            "environment": environment,
            "at_write": number,
            "moment": ("before", "after")[walked % 2],
        }
        seen: list[dict[str, Any]] = []
        code = children.watch_one(json.dumps(order).encode() + b"\n", seen.append)
        assert code in (0, -9), "the child's own words are above"
        made = [one["use"] for one in seen if one["type"] == "made"]
        _come_to_rest(survivor, sdk, session, environment, made)
        unknown += _check(survivor, sdk, session, made)
        sdk.beta.sessions.events.send(session, events=[say("[calm][say Still here.]")])
        _come_to_rest(survivor, sdk, session, environment, made)
        assert stop_of(sdk, session) == "end_turn"
        assert model.violations == []
        if code == 0:
            break
    assert number > 20, "these are too few writes for such a story"
    assert unknown or step > 1, "no worker died in the middle of a call"


def _come_to_rest(survivor: Server, sdk: Sdk, session: str, environment: str, made: list[str]) -> None:
    """The dead worker's lease runs out, and another worker goes on through the other server."""
    number, answers = number_of(session), RunAnswers(survivor.store, survivor.control)
    with survivor.store.database.writing() as connection:
        connection.execute(update(work_items).where(is_leased()).values(lease_expires_at=1.0))

    def is_at_rest() -> bool:
        survivor.runtime.supervisor.recover()
        for stranded in survivor.store.queue.stranded():
            survivor.runtime.manager.start_queued(stranded)
        WorkEnds(survivor.store, answers).settle()
        for stranded in survivor.store.decisions.stranded(0.0):
            answers.give(stranded, by="server")
        run = survivor.store.runs.live_run(number)
        if run is not None and run.status == "running":
            return False
        work(survivor, environment, made.append)
        return run is None and not survivor.store.queue.stranded()

    eventually(is_at_rest, "the session is at rest")


def _check(survivor: Server, sdk: Sdk, session: str, made: list[str]) -> int:
    """How many calls are of unknown outcome."""
    number = number_of(session)
    answer = sdk.beta.sessions.events.list(session)
    assert list(complaints(sdk.sent, type(answer))) == []
    events: list[Any] = list(answer)
    uses = [event.id for event in events if event.type == "agent.tool_use"]
    results = {event.tool_use_id: event for event in events if event.type == RESULT}
    assert [event.type for event in events].count(RESULT) == len(results), "a call has one result"
    assert sorted(results) == sorted(uses), "each call has its result"
    assert len(made) == len(set(made)), "no call is made twice"
    texts = {use: one.content[0].text for use, one in results.items()}
    assert all(text == f"Result of {use}." for use, text in texts.items() if not results[use].is_error)
    assert all(use in made for use, one in results.items() if not one.is_error)
    if events:
        assert events[-1].type == "session.status_idle"
    assert broken_promises(survivor.store, only=number) == []
    return sum(text.startswith(UNKNOWN) for text in texts.values())
