"""Threads of the members of a roster: what they do, and what is told of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from tests.conftest import held_by, make_settings
from tests.harness.process import eventually
from tests.managed.conftest import Sdk
from tests.managed.custom_calls import WEATHER, last_stop, result
from tests.managed.test_rosters import coordinator, member
from tests.managed.test_sessions import AROUND, IDLE, REQUEST, say, server, types, until_idle

__all__ = ["server"]

ASK: Any = [
    {"type": "agent_toolset_20260401", "default_config": {"permission_policy": {"type": "always_ask"}}},
    WEATHER,
]
ASKED = ["span.model_request_start", "span.model_request_end"]
WORKING, RESTED = "session.thread_status_running", "session.thread_status_idle"


@pytest.fixture
def sdk(server: Server) -> Iterator[Sdk]:
    with Sdk(server, "anything") as client:
        yield client


NewTeam = Callable[..., str]


def new_team(sdk: Sdk) -> NewTeam:
    """Makes sessions of an agent that gives work to Reviewer, to Tester and to copies of itself."""
    reviewer = member(sdk, tools=ASK, system="Review.")
    lead = coordinator(sdk, reviewer.id, member(sdk, "Tester").id, {"type": "self"}, tools=[WEATHER])
    environment = sdk.beta.environments.create(name="here")

    def make(text: str) -> str:
        made = sdk.beta.sessions.create(
            agent=lead.id, environment_id=environment.id, initial_events=[say(text)]
        )
        return made.id

    return make


@pytest.fixture
def new(sdk: Sdk) -> NewTeam:
    return new_team(sdk)


def to(message: str, agent: str = "Reviewer", **more: str) -> str:
    return f"[call send_to_agent {json.dumps({'agent': agent, 'message': message, **more})}]"


def children(sdk: Sdk, session: str) -> list[Any]:
    return [one for one in sdk.checked(sdk.beta.sessions.threads.list(session)).data if one.parent_thread_id]


def of_thread(sdk: Sdk, session: str, thread: str) -> list[Any]:
    return list(sdk.checked(sdk.beta.sessions.threads.events.list(thread, session_id=session)))


def of_session(sdk: Sdk, session: str, *kinds: str) -> list[Any]:
    found = list(sdk.checked(sdk.beta.sessions.events.list(session)))
    return [event for event in found if not kinds or event.type in kinds]


def test_a_message_is_answered_in_a_thread_of_its_own(sdk: Sdk, new: NewTeam) -> None:
    session = new(f"{to('[say Fine.]')}[then][say Done.]")
    until_idle(sdk, session)
    assert types(sdk, session) == [
        *AROUND,
        "user.message",
        *ASKED,
        "session.thread_created",
        "agent.thread_message_sent",
        WORKING,
        RESTED,
        "agent.thread_message_received",
        *REQUEST,
        *IDLE,
    ]
    (thread,) = children(sdk, session)
    assert (thread.agent.name, thread.status) == ("Reviewer", "idle")
    again = sdk.checked(sdk.beta.sessions.threads.retrieve(thread.id, session_id=session))
    assert again.id == thread.id
    told = of_thread(sdk, session, thread.id)
    assert [event.type for event in told] == [
        WORKING,
        "agent.thread_message_received",
        *REQUEST,
        "agent.thread_message_sent",
        RESTED,
    ]
    times = [event.processed_at for event in told]
    assert times == sorted(times)
    named = of_session(sdk, session, "session.thread_created", WORKING, RESTED)
    first = named[0].session_thread_id
    assert [event.session_thread_id for event in named] == [first, *[thread.id] * 3, first]
    assert [event.agent_name for event in named] == ["Lead", *["Reviewer"] * 3, "Lead"]
    (sent,) = of_session(sdk, session, "agent.thread_message_sent")
    (received,) = of_session(sdk, session, "agent.thread_message_received")
    assert (sent.to_session_thread_id, sent.to_agent_name) == (thread.id, "Reviewer")
    assert (received.from_session_thread_id, received.content[0].text) == (thread.id, "Fine.")
    assert (told[1].from_session_thread_id, told[1].content[0].text) == (first, "[say Fine.]")
    assert (told[5].to_session_thread_id, told[5].content[0].text) == (first, "Fine.")


def test_a_call_of_a_thread_waits_for_a_person_who_is_told_in_the_session(sdk: Sdk, new: NewTeam) -> None:
    inner = '[call bash {"command": "echo a"}][call get_weather {"town": "Ulm"}][then][say Fine.]'
    session = new(f"{to(inner)}[then][say Done.]")
    until_idle(sdk, session)
    (thread,) = children(sdk, session)
    assert thread.status == sdk.beta.sessions.retrieve(session).status == "idle"
    bash, weather = of_session(sdk, session, "agent.tool_use", "agent.custom_tool_use")
    assert {bash.session_thread_id, weather.session_thread_id} == {thread.id}
    for idle in of_session(sdk, session, RESTED, "session.status_idle"):
        assert idle.stop_reason.event_ids == [bash.id, weather.id]
    own = of_thread(sdk, session, thread.id)
    assert [event.id for event in own if event.type.endswith("_use")] == [bash.id, weather.id]
    allowed: Any = {"type": "user.tool_confirmation", "tool_use_id": bash.id, "result": "allow"}
    echo = sdk.checked(sdk.beta.sessions.events.send(session, events=[allowed])).data or []
    assert getattr(echo[0], "session_thread_id", None) == thread.id
    with pytest.raises(anthropic.BadRequestError, match="decided already"):
        sdk.beta.sessions.events.send(session, events=[allowed])
    with pytest.raises(anthropic.BadRequestError, match="waits for an answer"):
        sdk.beta.sessions.events.send(session, events=[say("Hello?")])
    sdk.beta.sessions.events.send(session, events=[result(weather.id)])
    until_idle(sdk, session, times=2)
    kinds = [event.type for event in of_thread(sdk, session, thread.id)]
    assert kinds == [
        WORKING,
        "agent.thread_message_received",
        "span.model_request_start",
        "agent.tool_use",
        "agent.custom_tool_use",
        "span.model_request_end",
        RESTED,
        "user.tool_confirmation",
        "user.custom_tool_result",
        WORKING,
        "agent.tool_result",
        *REQUEST,
        "agent.thread_message_sent",
        RESTED,
    ]
    told = types(sdk, session)
    assert told.count("user.tool_confirmation") == told.count("user.custom_tool_result") == 1
    assert told.count("agent.tool_result") == 0
    assert of_session(sdk, session, "session.status_idle")[-1].stop_reason.type == "end_turn"
    again = sdk.beta.sessions.events.send(session, events=[result(weather.id, "Sun.")]).data or []
    assert "Rain." in str(again[0]), "a second result changes nothing"


def test_an_interrupt_stops_all_and_keeps_what_clients_have_said(sdk: Sdk, new: NewTeam) -> None:
    session = new(f"{to('[call get_weather {}][call get_weather {}][then][say Fine.]')}[then][say Done.]")
    until_idle(sdk, session)
    made, unmade = last_stop(sdk, session)
    sdk.beta.sessions.events.send(session, events=[result(made)])
    sdk.beta.sessions.events.send(session, events=[{"type": "user.interrupt"}])
    until_idle(sdk, session, times=2)
    (thread,) = children(sdk, session)
    own, told = of_thread(sdk, session, thread.id), of_session(sdk, session)
    assert own[-1].type == RESTED
    assert own[-1].stop_reason.type == told[-1].stop_reason.type == "end_turn"
    for events in (own, told):
        found = {one.custom_tool_use_id: one for one in events if one.type == "user.custom_tool_result"}
        assert [event.type for event in events].count("user.custom_tool_result") == 2
        assert (found[made].content[0].text, found[unmade].is_error) == ("Rain.", True)
        assert {one.session_thread_id for one in found.values()} == {thread.id}
    assert [event.type for event in told][-5:] == ["user.interrupt", RESTED, *IDLE]
    again = sdk.beta.sessions.events.send(session, events=[result(unmade)]).data or []
    assert getattr(again[0], "is_error", None) is True, "it has its result"
    sdk.beta.sessions.events.send(session, events=[say(f"{to('[say Again.]')}[then][say Done.]")])
    until_idle(sdk, session, times=3)
    assert of_thread(sdk, session, thread.id)[-1].type == RESTED
    assert of_session(sdk, session)[-1].stop_reason.type == "end_turn"


@pytest.mark.parametrize("way", ["interrupt", "archive"])
def test_one_thread_is_stopped_and_the_agent_above_it_goes_on(sdk: Sdk, new: NewTeam, way: str) -> None:
    inner = '[call bash {"command": "echo a"}][call get_weather {}][then][say Fine.]'
    session = new(f"{to(inner)}[then][say Done.]")
    until_idle(sdk, session)
    (thread,) = children(sdk, session)
    if way == "interrupt":
        stop: Any = {"type": "user.interrupt", "session_thread_id": thread.id}
        sdk.checked(sdk.beta.sessions.events.send(session, events=[stop]))
    else:
        over = sdk.checked(sdk.beta.sessions.threads.archive(thread.id, session_id=session))
        assert over.status == "terminated"
    until_idle(sdk, session, times=2)
    own, told = of_thread(sdk, session, thread.id), of_session(sdk, session)
    kinds = [event.type for event in own]
    stopped = "user.interrupt" if way == "interrupt" else "session.thread_status_terminated"
    assert kinds.count(stopped) == [event.type for event in told].count(stopped) == 1
    assert kinds.count("agent.tool_result") == kinds.count("user.custom_tool_result") == 1
    assert kinds.count("span.model_request_start") == 1, "it was not asked again"
    assert all(
        "interrupted before completion" in str(event.content) for event in own if "_result" in event.type
    )
    assert kinds.count(RESTED) == (2 if way == "interrupt" else 1)
    (received,) = of_session(sdk, session, "agent.thread_message_received")
    assert "interrupted" in received.content[0].text
    assert [event.type for event in told][-6:] == [*REQUEST, *IDLE]
    (after,) = children(sdk, session)
    assert after.status == ("idle" if way == "interrupt" else "terminated")


def test_a_thread_that_waits_goes_on_in_another_process(
    tmp_path: Path, model: OfflineServer, database_url: str
) -> None:
    settings = make_settings(tmp_path, model.url, database_url=database_url)
    first = build(settings)
    with Sdk(first, "anything") as sdk:
        inner = '[call bash {"command": "echo a"}][call get_weather {}][then][say Fine.]'
        session = new_team(sdk)(f"{to(inner)}[then]{to('[say More.]')}[then][say Done.]")
        until_idle(sdk, session)
    first.close()
    second = build(settings)
    with Sdk(second, "anything") as sdk:
        bash, weather = last_stop(sdk, session)
        denied: Any = {"type": "user.tool_confirmation", "tool_use_id": bash, "result": "deny"}
        sdk.beta.sessions.events.send(session, events=[denied, result(weather)])
        until_idle(sdk, session, times=2)
        assert of_session(sdk, session)[-1].stop_reason.type == "end_turn"
        (thread,) = children(sdk, session)
        kinds = [event.type for event in of_thread(sdk, session, thread.id)]
        assert kinds.count("agent.tool_result") == kinds.count("user.custom_tool_result") == 1
        assert kinds.count("agent.thread_message_received") == kinds.count("agent.thread_message_sent") == 2
        assert kinds.count(WORKING) == kinds.count(RESTED) == 3
        told = types(sdk, session)
        assert told.count("agent.tool_result") == 0, "of messages to threads clients are told by the messages"
        received = [one.content[0].text for one in of_session(sdk, session, "agent.thread_message_received")]
        assert received == ["Fine.", "More."]
        whole: Any = sdk.beta.sessions.retrieve(session).usage
        used = [one.usage.output_tokens or 0 for one in sdk.beta.sessions.threads.list(session) if one.usage]
        assert sum(used) == whole.output_tokens
    eventually(lambda: not held_by(second), f"this was given back: {held_by(second)}")
    second.close()
