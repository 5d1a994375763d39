"""Sessions followed with the official SDK, at a real server."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx2
import pytest
from anthropic import Anthropic

from anthropic_standin.standin_server import OfflineServer
from app.conversation.queued_message import QueuedMessage
from app.managed.id_validation import number_of
from app.managed.sent_messages import sent_row
from app.store.engine import Database
from app.store.store import Store
from tests.conftest import StartBaton
from tests.deployment.test_streams_without_threads import threads_in_use
from tests.harness.process import BatonProcess, eventually
from tests.harness.sqlite import NAME
from tests.harness.wire import Client
from tests.managed.sdk_shapes import complaints
from tests.managed.test_sessions import AROUND, IDLE, REQUEST, say

HEADERS = {"anthropic-beta": "managed-agents-2026-04-01", "anthropic-version": "2026-10-21"}


@pytest.fixture
def remote(baton: BatonProcess) -> Iterator[Anthropic]:
    with Anthropic(base_url=baton.url, api_key="anything", max_retries=0) as client:
        yield client


def new_session(client: Anthropic) -> str:
    agent = client.beta.agents.create(name="Plain", model="claude-sonnet-5-5")
    environment = client.beta.environments.create(name="here", config={"type": "cloud"})
    return client.beta.sessions.create(agent=agent.id, environment_id=environment.id).id


def follow_until_idle(client: Anthropic, session: str, text: str, **asked: Any) -> list[Any]:
    seen = []
    with client.beta.sessions.events.stream(session, **asked) as stream:
        client.beta.sessions.events.send(session, events=[say(text)])
        for event in stream:
            seen.append(event)
            if event.type == "session.status_idle":
                return seen
    raise AssertionError(f"the stream has ended: {seen}")


def test_a_stream_shows_what_a_list_shows(remote: Anthropic) -> None:
    session = new_session(remote)
    seen = follow_until_idle(remote, session, "[say Hello.]")
    assert [event.type for event in seen] == [*AROUND, "user.message", *REQUEST, *IDLE]
    listed = list(remote.beta.sessions.events.list(session))
    assert [event.to_dict() for event in seen] == [event.to_dict() for event in listed]
    assert remote.beta.sessions.retrieve(session).status == "idle"


def test_a_silent_stream_has_no_thread_and_misses_nothing(remote: Anthropic, baton: BatonProcess) -> None:
    """A change between two runs is no event of a run, which the session's log would tell."""
    session = new_session(remote)
    with closing(Client(baton.url)) as client, remote.beta.sessions.events.stream(session) as stream:
        eventually(lambda: threads_in_use(client) == 1, "the stream's thread was given back")
        remote.beta.sessions.update(session, title="New")
        assert next(stream).type == "session.updated"
        eventually(lambda: threads_in_use(client) == 1, "the stream's thread was given back")


def test_previews_are_the_beginning_of_the_message(remote: Anthropic) -> None:
    session = new_session(remote)
    seen = follow_until_idle(remote, session, "[say Hello to all of you.]", event_deltas=["agent.message"])
    kinds = [event.type for event in seen]
    begun = seen[kinds.index("event_start")]
    message = seen[kinds.index("agent.message")]
    deltas = [event for event in seen if event.type == "event_delta"]
    assert begun.event.id == message.id
    assert {delta.event_id for delta in deltas} == {message.id}
    assert message.content[0].text.startswith("".join(delta.delta.content.text for delta in deltas))
    assert kinds.index("event_start") < kinds.index("event_delta") < kinds.index("agent.message")
    listed = [event.type for event in remote.beta.sessions.events.list(session)]
    assert "event_start" not in listed
    assert "event_delta" not in listed


def frames(response: httpx2.Response) -> Iterator[tuple[str, str]]:
    """The id and the type of each event."""
    number, kind = "", ""
    for line in response.iter_lines():
        if line.startswith("id: "):
            number = line[4:]
        elif line.startswith("event: "):
            kind = line[7:]
        elif not line and kind:
            yield number, kind
            number, kind = "", ""


def test_a_stream_that_was_cut_goes_on_without_a_gap(remote: Anthropic, baton: BatonProcess) -> None:
    session = new_session(remote)
    follow_until_idle(remote, session, "[say Hello.]")
    listed = [(event.id, event.type) for event in remote.beta.sessions.events.list(session)]
    for place, (number, _) in enumerate(listed[:-1]):
        headers = {**HEADERS, "Last-Event-ID": number}
        path = f"{baton.url}/v1/sessions/{session}/events/stream"
        with httpx2.stream("GET", path, headers=headers) as response:
            following = frames(response)
            assert [next(following) for _ in listed[place + 1 :]] == listed[place + 1 :]


def test_a_run_of_a_killed_server_comes_to_its_end(start_baton: StartBaton, model: OfflineServer) -> None:
    first = start_baton(settings={"BATON_LEASE_SECONDS": "3"})
    with Anthropic(base_url=first.url, api_key="x", max_retries=0) as client:
        session = new_session(client)
        client.beta.sessions.events.send(session, events=[say("[words 9] [stall 5 times 1]")])
        eventually(lambda: model.requests, "the model is asked")
        assert client.beta.sessions.retrieve(session).status == "running"
    first.kill()
    second = start_baton(settings={"BATON_LEASE_SECONDS": "3"})
    with Anthropic(base_url=second.url, api_key="x", max_retries=0) as client:
        eventually(lambda: client.beta.sessions.retrieve(session).status == "idle", "the run was closed")
        answer = client.beta.sessions.events.with_raw_response.list(session)
        sent = json.loads(answer.text())
        assert [event["type"] for event in sent["data"]][-4:] == ["session.error", *IDLE]
        assert list(complaints(sent, type(answer.parse()))) == []
        seen = follow_until_idle(client, session, "[calm] [say Here again.]")
        assert [event.type for event in seen] == [*AROUND, "user.message", *REQUEST, *IDLE]


def test_a_message_that_no_run_has_come_to_is_begun_with_after_a_crash(
    start_baton: StartBaton, model: OfflineServer
) -> None:
    """The process dies between the message and its run."""
    first = start_baton()
    with Anthropic(base_url=first.url, api_key="x", max_retries=0) as client:
        session = new_session(client)
    first.kill()
    store = Store(Database(f"sqlite:///{first.directory / NAME}"), lease_seconds=30)
    number = number_of(session)
    message = QueuedMessage(
        uuid.uuid4().hex, number, "steer", ({"type": "text", "text": "[say I am.]"},), 0.0, ""
    )
    store.managed.send(number, [message], [sent_row(message, message.content)], lambda _: None, owner=None)
    store.database.close()
    second = start_baton()
    with Anthropic(base_url=second.url, api_key="x", max_retries=0) as client:
        kinds = [*AROUND, "user.message", *REQUEST, *IDLE]

        def listed() -> list[str]:
            return [event.type for event in client.beta.sessions.events.list(session)]

        eventually(lambda: listed() == kinds, "the message is answered")
