"""Threads of the members of a roster: what they do, and what is told of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server
from app.managed.given_ids import number_of
from tests.managed.conftest import Sdk
from tests.managed.custom_calls import WEATHER, result
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


@pytest.fixture
def new(sdk: Sdk) -> NewTeam:
    """Makes sessions of an agent that gives work to Reviewer and to Tester."""
    reviewer = member(sdk, tools=ASK, system="Review.")
    lead = coordinator(sdk, reviewer.id, member(sdk, "Tester").id, {"type": "self"}, tools=[WEATHER])
    environment = sdk.beta.environments.create(name="here")

    def make(text: str) -> str:
        made = sdk.beta.sessions.create(
            agent=lead.id, environment_id=environment.id, initial_events=[say(text)]
        )
        return made.id

    return make


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


def test_a_thread_remembers_and_another_one_does_not(sdk: Sdk, new: NewTeam) -> None:
    session = new(
        f"{to('[say One.]')}[then]{to('[say Two.]')}[then]{to('[say Three.]', thread='new')}[then][say Done.]"
    )
    until_idle(sdk, session)
    first, second = children(sdk, session)
    kinds = [event.type for event in of_thread(sdk, session, first.id)]
    assert kinds.count("agent.thread_message_received") == 2
    assert len(of_thread(sdk, session, second.id)) == len(kinds) // 2
    assert len(of_session(sdk, session, "session.thread_created")) == 2
    sdk.beta.sessions.events.send(
        session, events=[say(f"{to('[say Four.]', thread=first.id)}[then][say Done.]")]
    )
    until_idle(sdk, session, times=2)
    assert len(children(sdk, session)) == 2
    assert [event.type for event in of_thread(sdk, session, first.id)].count(RESTED) == 3
    assert first.usage.input_tokens < children(sdk, session)[0].usage.input_tokens


def test_what_threads_use_adds_up_to_what_the_session_does(sdk: Sdk, new: NewTeam) -> None:
    session = new(f"{to('[say One.]')}[then]{to('[say Two.]', 'Tester')}[then][say Done.]")
    until_idle(sdk, session)
    whole: Any = sdk.checked(sdk.beta.sessions.retrieve(session)).usage
    threads = sdk.checked(sdk.beta.sessions.threads.list(session)).data
    assert len(threads) == 3
    used = [one.usage.output_tokens or 0 for one in threads if one.usage]
    assert min(used) > 0
    assert sum(used) == whole.output_tokens
    assert of_session(sdk, session, "session.usage")[-1].usage.output_tokens == whole.output_tokens


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (to("x", "Nobody"), 'There is no agent "Nobody"'),
        (to(" "), "must not be empty"),
        (to("x", thread="sthr_x"), "has no thread sthr_x"),
        ("[call send_to_agent {}]", "agent"),
        ("[call list_agents {}]", "Reviewer"),
    ],
)
def test_the_model_is_told_what_it_has_done_wrong(
    sdk: Sdk, server: Server, new: NewTeam, call: str, words: str
) -> None:
    session = new(f"{call}[then][say Done.]")
    until_idle(sdk, session)
    assert children(sdk, session) == []
    assert types(sdk, session) == [*AROUND, "user.message", *ASKED, *REQUEST, *IDLE]
    rows = server.store.sessions.messages(number_of(session))
    assert words in str([row.content for row in rows if row.role == "tool"])


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


def test_a_thread_that_fails_ends_and_the_agent_above_it_hears_of_it(sdk: Sdk, new: NewTeam) -> None:
    session = new(f"{to('[fail 400]')}[then][say Done.]")
    until_idle(sdk, session)
    (thread,) = children(sdk, session)
    assert thread.status == "terminated"
    assert thread.archived_at is not None
    kinds = [event.type for event in of_thread(sdk, session, thread.id)]
    assert kinds[-3:] == ["agent.thread_message_sent", "session.error", "session.thread_status_terminated"]
    (received,) = of_session(sdk, session, "agent.thread_message_received")
    assert "Error" in received.content[0].text
    assert of_session(sdk, session, "session.status_idle")[-1].stop_reason.type == "end_turn"


def test_an_interrupt_stops_all(sdk: Sdk, new: NewTeam) -> None:
    session = new(f"{to('[call get_weather {}][then][say Fine.]')}[then][say Done.]")
    until_idle(sdk, session)
    (use,) = of_session(sdk, session, "agent.custom_tool_use")
    sdk.beta.sessions.events.send(session, events=[{"type": "user.interrupt"}])
    until_idle(sdk, session, times=2)
    (thread,) = children(sdk, session)
    own, told = of_thread(sdk, session, thread.id), of_session(sdk, session)
    assert [event.type for event in own][-2:] == ["user.custom_tool_result", RESTED]
    assert own[-1].stop_reason.type == told[-1].stop_reason.type == "end_turn"
    kinds = [event.type for event in told]
    assert kinds[-6:] == ["user.custom_tool_result", "user.interrupt", RESTED, *IDLE]
    assert told[-6].custom_tool_use_id == use.id
    again = sdk.beta.sessions.events.send(session, events=[result(use.id)]).data or []
    assert again[0].id == told[-6].id, "it has its result"
    sdk.beta.sessions.events.send(session, events=[say(f"{to('[say Again.]')}[then][say Done.]")])
    until_idle(sdk, session, times=3)
    assert [event.type for event in of_thread(sdk, session, thread.id)][-1] == RESTED
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


def test_a_thread_is_archived_once_and_an_idle_one_only(
    sdk: Sdk, server: Server, new: NewTeam, model: OfflineServer
) -> None:
    session = new(f"{to('[say One.]')}[then][say Done.]")
    until_idle(sdk, session)
    (thread,) = children(sdk, session)
    over = sdk.checked(sdk.beta.sessions.threads.archive(thread.id, session_id=session))
    assert (over.status, over.archived_at) == ("terminated", over.updated_at)
    assert sdk.beta.sessions.threads.archive(thread.id, session_id=session).archived_at == over.archived_at
    ended = of_session(sdk, session, "session.thread_status_terminated")
    assert [event.session_thread_id for event in ended] == [thread.id]
    assert ended[0].id == of_thread(sdk, session, thread.id)[-1].id
    stop: Any = {"type": "user.interrupt", "session_thread_id": thread.id}
    with pytest.raises(anthropic.BadRequestError, match="session_thread_id"):
        sdk.beta.sessions.events.send(session, events=[stop])
    sdk.beta.sessions.events.send(
        session, events=[say(f"{to('x', thread=thread.id)}[then]{to('[say Two.]')}[then][say Done.]")]
    )
    until_idle(sdk, session, times=2)
    first, second = children(sdk, session)
    assert (first.id, first.status, second.status) == (thread.id, "terminated", "idle")
    statuses = sdk.beta.sessions.threads.list(session, statuses=["terminated"]).data
    assert [one.id for one in statuses] == [thread.id]
    pages = list(sdk.beta.sessions.threads.list(session, limit=1))
    assert [one.id for one in pages][1:] == [first.id, second.id]
    sdk.beta.sessions.archive(session)
    with pytest.raises(anthropic.BadRequestError, match="is archived"):
        sdk.beta.sessions.threads.archive(second.id, session_id=session)
    assert {one.status for one in sdk.beta.sessions.threads.list(session)} == {"terminated"}


def test_a_thread_of_another_session_is_not_there(sdk: Sdk, new: NewTeam) -> None:
    session, other = new(f"{to('[say One.]')}[then][say Done.]"), new("[say Hello.]")
    until_idle(sdk, session)
    (thread,) = children(sdk, session)
    threads = sdk.beta.sessions.threads
    for call in (threads.retrieve, threads.archive, threads.events.list, threads.events.stream):
        with pytest.raises(anthropic.NotFoundError, match="Thread not found"):
            call(thread.id, session_id=other)
    stop: Any = {"type": "user.interrupt", "session_thread_id": thread.id}
    with pytest.raises(anthropic.BadRequestError, match="session_thread_id"):
        sdk.beta.sessions.events.send(other, events=[stop])
    sdk.beta.sessions.events.send(session, events=[stop])
    assert types(sdk, session)[-1] == "user.interrupt", "an idle one has nothing to stop"
    with pytest.raises(anthropic.NotFoundError):
        sdk.beta.sessions.retrieve(thread.id.replace("sthr", "sesn"))
