"""Rules for threads: who remembers what, what is counted, how they end."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server
from app.managed.id_validation import number_of
from app.managed_ids import number_in
from tests.harness.process import eventually
from tests.managed.conftest import Sdk
from tests.managed.custom_calls import result
from tests.managed.test_child_threads import (
    ASKED,
    RESTED,
    NewTeam,
    children,
    new,
    of_session,
    of_thread,
    to,
)
from tests.managed.test_sessions import AROUND, IDLE, REQUEST, say, types, until_idle

__all__ = ["new"]

USES = ("agent.tool_use", "agent.custom_tool_use")


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> None:
    """The server's threads end with it."""


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
    sdk: Sdk, laptop: Server, new: NewTeam, call: str, words: str
) -> None:
    session = new(f"{call}[then][say Done.]")
    until_idle(sdk, session)
    assert children(sdk, session) == []
    assert types(sdk, session) == [*AROUND, "user.message", *ASKED, *REQUEST, *IDLE]
    rows = laptop.store.sessions.messages(number_of(session))
    assert words in str([row.content for row in rows if row.role == "tool"])


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


def test_a_thread_is_archived_once_and_an_idle_one_only(sdk: Sdk, new: NewTeam) -> None:
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


def test_a_refusal_leaves_the_thread_idle(sdk: Sdk, new: NewTeam) -> None:
    session = new(f"{to('[refuse]')}[then][say Done.]")
    until_idle(sdk, session)
    (thread,) = children(sdk, session)
    assert thread.status == "idle"
    assert of_thread(sdk, session, thread.id)[-1].stop_reason.type == "refusal"


def test_the_first_door_shows_threads_as_sessions_below(sdk: Sdk, laptop: Server, new: NewTeam) -> None:
    session = new(f"{to('[say Fine.]')}[then][say Done.]")
    until_idle(sdk, session)
    number = number_of(session)
    with laptop.app.test_client() as client:
        for path in ("", "/tree", "/history", "/events", "/todos"):
            assert client.get(f"/api/sessions/{number}{path}").status_code == 200, path
        tree = client.get(f"/api/sessions/{number}/tree").get_json()
        below = number_in("sthr", children(sdk, session)[0].id)
        path = f"/api/sessions/{below}/agent/{session}/member-0"
        run = client.post(path, json=[{"role": "user", "content": "[say Hi.]"}])
        assert (run.status_code, "thread of another session" in run.text) == (400, True)
    assert "member-0" in str(tree)


def test_a_thread_that_works_stops_at_its_next_safe_point(
    sdk: Sdk, new: NewTeam, model: OfflineServer
) -> None:
    inner = "[hold 0][call nothing {}][then][say Never.]"
    session = new(f"{to(inner)}[then][say Done.]")
    asked = "span.model_request_start"
    eventually(
        lambda: any(asked in str(of_thread(sdk, session, one.id)) for one in children(sdk, session)),
        "the thread asks its model",
    )
    (thread,) = children(sdk, session)
    assert (thread.status, sdk.beta.sessions.retrieve(session).status) == ("running", "running")
    with pytest.raises(anthropic.BadRequestError, match="cannot be archived while"):
        sdk.beta.sessions.threads.archive(thread.id, session_id=session)
    stop: Any = {"type": "user.interrupt", "session_thread_id": thread.id}
    sdk.checked(sdk.beta.sessions.events.send(session, events=[stop]))

    def is_idle_once_it_is_let_go() -> bool:
        model.release()
        return "session.status_idle" in types(sdk, session)

    eventually(is_idle_once_it_is_let_go, "the session is idle")
    own = of_thread(sdk, session, thread.id)
    assert [event.type for event in own][-4:] == [
        "agent.tool_result",
        "user.interrupt",
        "agent.thread_message_sent",
        RESTED,
    ]
    assert [event.type for event in own].count(asked) == 1
    (received,) = of_session(sdk, session, "agent.thread_message_received")
    assert "interrupted" in received.content[0].text
    assert [event.type for event in of_session(sdk, session)][-6:] == [*REQUEST, *IDLE]


def test_the_session_waits_for_the_calls_of_all_threads(sdk: Sdk, new: NewTeam) -> None:
    inner = '[call bash {"command": "echo a"}][then][say Fine.]'
    session = new(f"{to(inner)}[call get_weather {{}}]{to('[say More.]', 'Tester')}[then][say Done.]")
    until_idle(sdk, session)
    (thread,) = children(sdk, session)
    bash, weather = (one.id for kind in USES for one in of_session(sdk, session, kind))
    primary, whole = of_session(sdk, session, RESTED, "session.status_idle")[-2:]
    assert (
        sorted(whole.stop_reason.event_ids)
        == sorted(primary.stop_reason.event_ids)
        == sorted([bash, weather])
    )
    (own,) = [event for event in of_thread(sdk, session, thread.id) if event.type == RESTED]
    assert own.stop_reason.event_ids == [bash]
    statuses = {one.status for one in sdk.beta.sessions.threads.list(session)}
    assert statuses == {"idle"}
    denied: Any = {"type": "user.tool_confirmation", "tool_use_id": bash, "result": "deny"}
    sdk.beta.sessions.events.send(session, events=[denied])
    assert sdk.beta.sessions.retrieve(session).status == "idle", "one call is still to be made"
    sdk.beta.sessions.events.send(session, events=[result(weather)])
    until_idle(sdk, session, times=2)
    assert of_session(sdk, session)[-1].stop_reason.type == "end_turn"
    assert [one.agent.name for one in children(sdk, session)] == ["Reviewer", "Tester"]
    told = types(sdk, session)
    assert told.count("agent.thread_message_received") == told.count("session.thread_created") == 2
    assert told.count("user.custom_tool_result") == 1
    assert "user.custom_tool_result" not in str(of_thread(sdk, session, thread.id))
