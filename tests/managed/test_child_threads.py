"""Threads of the members of a roster: what they do, and what is told of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import pytest

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
    assert all(one.usage and one.usage.output_tokens for one in threads)
    assert all((one.usage.output_tokens or 0) > 0 for one in threads if one.usage)
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
