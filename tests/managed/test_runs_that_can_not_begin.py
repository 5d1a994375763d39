"""A run that fails before it has come to its session's messages is not begun again and again."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from app.agent.loop import AgentLoop
from app.factory import Server
from app.managed.id_validation import number_of
from app.runtime import agent_planner
from app.store import queue_store
from app.store.run_request import RunRequest
from tests.harness.process import eventually
from tests.managed.conftest import Sdk, SessionMaker
from tests.managed.test_sessions import say, server, types, until_idle

__all__ = ["server"]


@pytest.fixture
def sdk(server: Server) -> Iterator[Sdk]:
    with Sdk(server, "anything") as client:
        yield client


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """No run begins until this is called."""

    def fail(*_: object, **__: object) -> AgentLoop:
        raise OSError("there is no descriptor left")

    monkeypatch.setattr(agent_planner, "AgentLoop", fail)
    monkeypatch.setattr(queue_store, "STRANDED_SECONDS", 0.0)
    return lambda: monkeypatch.setattr(agent_planner, "AgentLoop", AgentLoop)


def all_runs(server: Server, session: str) -> list[str]:
    found = server.store.runs.recent(session_id=number_of(session), limit=100)
    return [run.status for run in found if not run.live]


def test_the_message_waits_for_the_next_one(
    sdk: Sdk, server: Server, new_session: SessionMaker, broken: Callable[[], None]
) -> None:
    session = new_session().id
    sdk.beta.sessions.events.send(session, events=[say("Are you there?")])
    until_idle(sdk, session)
    eventually(lambda: not server.runtime.runs.all(), "nothing runs")
    assert all_runs(server, session) == ["failed"]
    assert "session.error" in types(sdk, session)
    assert server.store.queue.stranded() == []
    broken()
    sdk.beta.sessions.events.send(session, events=[say("[say Yes.]")])
    until_idle(sdk, session, times=2)
    assert all_runs(server, session) == ["finished", "failed"]
    assert [one for one in types(sdk, session) if one in ("user.message", "agent.message")] == [
        "user.message",
        "user.message",
        "agent.message",
    ]


def test_a_message_that_comes_meanwhile_is_begun_with(
    sdk: Sdk, server: Server, new_session: SessionMaker, broken: Callable[[], None]
) -> None:
    """Whether its run is begun by the process of the one that failed, or by one that finds it later."""
    session = new_session().id
    sdk.beta.sessions.events.send(session, events=[say("Are you there?")])
    until_idle(sdk, session)
    number = number_of(session)
    server.runtime.runs.refuse_more()  # the process that stores the message begins nothing
    sdk.beta.sessions.events.send(session, events=[say("[say Yes.]")])
    assert server.store.queue.stranded() == [number]


def test_a_message_for_which_processes_die_is_begun_with_three_times(
    sdk: Sdk, server: Server, new_session: SessionMaker, broken: Callable[[], None]
) -> None:
    session = new_session().id
    number = number_of(session)
    server.runtime.runs.refuse_more()
    sdk.beta.sessions.events.send(session, events=[say("Are you there?")])
    owner = server.runtime.owner
    for run_id in ("one", "two", "three"):
        assert server.store.queue.stranded() == [number]
        request = RunRequest(session_id=number, key=session)
        begun = server.store.claims.begin(run_id, request, agent=f"{session}/root", owner=owner)
        server.store.runs.finish(begun.run.baton, "interrupted")
    assert server.store.queue.stranded() == []
