"""The primary thread of a session, through the official SDK."""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import pytest

from app.factory import Server
from tests.managed.conftest import Sdk, SessionMaker
from tests.managed.test_sessions import say, types, until_idle


@pytest.fixture
def sdk(server: Server) -> Iterator[Sdk]:
    with Sdk(server, "anything") as client:
        yield client


def test_a_session_has_its_primary_thread_and_no_other(sdk: Sdk, new_session: SessionMaker) -> None:
    session = new_session()
    (thread,) = sdk.checked(sdk.beta.sessions.threads.list(session.id)).data
    assert (thread.session_id, thread.parent_thread_id, thread.status) == (session.id, None, "idle")
    again = sdk.checked(sdk.beta.sessions.threads.retrieve(thread.id, session_id=session.id))
    assert again.id == thread.id
    assert sdk.beta.sessions.threads.list(session.id, statuses=["running"]).data == []
    with pytest.raises(anthropic.BadRequestError, match="statuses"):
        sdk.beta.sessions.threads.list(session.id, extra_query={"statuses[]": "asleep"})
    with pytest.raises(anthropic.BadRequestError, match="archive its session"):
        sdk.beta.sessions.threads.archive(thread.id, session_id=session.id)


def test_the_events_of_the_primary_thread_are_those_of_the_session(
    sdk: Sdk, new_session: SessionMaker
) -> None:
    session = new_session(initial_events=[say("[say Hello.]")])
    until_idle(sdk, session.id)
    (thread,) = sdk.beta.sessions.threads.list(session.id).data
    told = [event.type for event in sdk.beta.sessions.threads.events.list(thread.id, session_id=session.id)]
    assert told == types(sdk, session.id)
    named = [
        event.session_thread_id
        for event in sdk.beta.sessions.events.list(session.id, types=["session.thread_status_idle"])
        if event.type == "session.thread_status_idle"
    ]
    assert named == [thread.id]


def test_a_thread_of_another_session_is_not_there(sdk: Sdk, new_session: SessionMaker) -> None:
    session, another = new_session(), new_session()
    (thread,) = sdk.beta.sessions.threads.list(another.id).data
    with pytest.raises(anthropic.NotFoundError, match="Thread not found"):
        sdk.beta.sessions.threads.retrieve(thread.id, session_id=session.id)
    with pytest.raises(anthropic.NotFoundError, match="Thread not found"):
        sdk.beta.sessions.threads.events.list(thread.id, session_id=session.id)
