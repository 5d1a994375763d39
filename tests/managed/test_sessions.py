"""Sessions and their events, through the official SDK."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from tests.conftest import held_by, make_settings
from tests.harness.process import eventually
from tests.managed.conftest import Sdk, SessionMaker


@pytest.fixture
def server(tmp_path: Path, model: OfflineServer, database_url: str) -> Iterator[Server]:
    """Once with each kind of database."""
    built = build(make_settings(tmp_path, model.url, database_url=database_url))
    yield built
    eventually(lambda: not held_by(built), f"this was given back: {held_by(built)}")
    built.close()


@pytest.fixture
def sdk(server: Server) -> Iterator[Sdk]:
    with Sdk(server, "anything") as client:
        yield client


AROUND = ["session.status_running", "session.thread_status_running"]
IDLE = ["session.thread_status_idle", "session.usage", "session.status_idle"]
REQUEST = ["span.model_request_start", "agent.message", "span.model_request_end"]


def types(sdk: Sdk, session: str) -> list[str]:
    return [event.type for event in sdk.beta.sessions.events.list(session)]


def say(text: str) -> Any:
    return {"type": "user.message", "content": [{"type": "text", "text": text}]}


def until_idle(sdk: Sdk, session: str, *, times: int = 1) -> None:
    eventually(lambda: types(sdk, session).count("session.status_idle") == times, "the session is idle")


def test_a_new_session_is_idle_and_has_everything_written_out(sdk: Sdk, new_session: SessionMaker) -> None:
    made = sdk.checked(new_session(title="First", metadata={"a": "b"}))
    assert (made.status, made.title, made.metadata, made.agent.version) == ("idle", "First", {"a": "b"}, 1)
    assert sdk.sent["usage"]["list_cost"] == {"amount": "0", "currency": "USD"}
    assert sdk.checked(sdk.beta.sessions.retrieve(made.id)).id == made.id
    assert types(sdk, made.id) == []


def test_a_message_is_answered_in_the_order_of_the_api(sdk: Sdk, new_session: SessionMaker) -> None:
    session = new_session()
    sent = sdk.checked(sdk.beta.sessions.events.send(session.id, events=[say("[say Hello.]")]))
    until_idle(sdk, session.id)
    assert types(sdk, session.id) == [*AROUND, "user.message", *REQUEST, *IDLE]
    listed = list(sdk.beta.sessions.events.list(session.id))
    sdk.checked(sdk.beta.sessions.events.list(session.id))
    assert sent.data is not None
    assert listed[2].id == sent.data[0].id
    times: list[Any] = [event.processed_at for event in listed]
    assert times == sorted(times)
    assert len(set(times)) == len(times)
    message: Any = listed[4]
    assert message.content[0].text == "Hello."
    again = sdk.checked(sdk.beta.sessions.retrieve(session.id))
    assert (again.status, again.usage.output_tokens) == ("idle", sdk.sent["usage"]["output_tokens"])
    assert (again.usage.output_tokens or 0) > 0


def test_a_session_begins_with_its_first_events(sdk: Sdk, new_session: SessionMaker) -> None:
    session = new_session(initial_events=[say("[say One.]"), say("[say Two.]")])
    until_idle(sdk, session.id)
    assert types(sdk, session.id).count("user.message") == 2
    assert types(sdk, session.id).count("session.status_running") == 1


def test_lists_lead_both_ways(sdk: Sdk, new_session: SessionMaker) -> None:
    made = [new_session(metadata={"list": "both"}).id for _ in range(4)][::-1]
    first = sdk.checked(sdk.beta.sessions.list(limit=2))
    assert [one.id for one in first.data] == made[:2]
    assert first.prev_page is None
    second = sdk.beta.sessions.list(limit=2, page=first.next_page or "")
    assert [one.id for one in second.data] == made[2:]
    back = sdk.beta.sessions.list(limit=2, page=second.prev_page or "")
    assert [one.id for one in back.data] == made[:2]
    assert back.next_page is not None
    oldest = sdk.beta.sessions.list(order="asc", limit=100)
    assert [one.id for one in oldest.data][-4:] == made[::-1]
    with pytest.raises(anthropic.BadRequestError, match="page token order does not match request"):
        sdk.beta.sessions.list(order="asc", page=first.next_page or "")


def test_pages_of_events_hold_each_once(sdk: Sdk, new_session: SessionMaker) -> None:
    session = new_session(initial_events=[say("[say Hello.]")])
    until_idle(sdk, session.id)
    whole = [event.id for event in sdk.beta.sessions.events.list(session.id)]
    assert [event.id for event in sdk.beta.sessions.events.list(session.id, limit=2)] == whole
    backward = [event.id for event in sdk.beta.sessions.events.list(session.id, limit=2, order="desc")]
    assert backward == whole[::-1]
    only = sdk.beta.sessions.events.list(session.id, types=["agent.message", "user.message"])
    assert [event.type for event in only] == ["user.message", "agent.message"]


def test_an_update_tells_what_has_changed(sdk: Sdk, new_session: SessionMaker) -> None:
    session = new_session(title="Old", metadata={"a": "1"})
    changed = sdk.checked(sdk.beta.sessions.update(session.id, title="New", metadata={"a": None, "b": "2"}))
    assert (changed.title, changed.metadata) == ("New", {"b": "2"})
    sdk.beta.sessions.update(session.id, title="New")
    (event,) = sdk.beta.sessions.events.list(session.id)
    sdk.beta.sessions.events.list(session.id)
    assert event.type == "session.updated"
    assert sdk.sent["data"][0]["title"] == "New"
    assert "agent" not in sdk.sent["data"][0]


def test_an_archived_session_is_read_only(sdk: Sdk, new_session: SessionMaker) -> None:
    session = new_session()
    archived = sdk.checked(sdk.beta.sessions.archive(session.id))
    assert (archived.status, archived.archived_at is not None) == ("terminated", True)
    with pytest.raises(anthropic.BadRequestError, match="archived"):
        sdk.beta.sessions.events.send(session.id, events=[say("Hello")])
    assert session.id not in [one.id for one in sdk.beta.sessions.list(limit=100)]
    gone = sdk.checked(sdk.beta.sessions.delete(session.id))
    assert gone.type == "session_deleted"
    with pytest.raises(anthropic.NotFoundError, match="Session not found"):
        sdk.beta.sessions.retrieve(session.id)


def test_a_session_of_another_name_is_not_there(company: Server) -> None:
    with Sdk(company, "ann-has-this-token") as ann, Sdk(company, "ben-has-this-token") as ben:
        agent = ann.beta.agents.create(name="Mine", model="claude-sonnet-5-5")
        environment = ann.beta.environments.create(name="here")
        session = ann.beta.sessions.create(agent=agent.id, environment_id=environment.id)
        calls: list[Any] = [
            lambda: ben.beta.sessions.retrieve(session.id),
            lambda: ben.beta.sessions.update(session.id, title="x"),
            lambda: ben.beta.sessions.archive(session.id),
            lambda: ben.beta.sessions.delete(session.id),
            lambda: ben.beta.sessions.events.list(session.id),
            lambda: ben.beta.sessions.events.send(session.id, events=[say("x")]),
        ]
        for call in calls:
            with pytest.raises(anthropic.NotFoundError, match="Session not found"):
                call()
        with pytest.raises(anthropic.NotFoundError, match="Agent not found"):
            ben.beta.sessions.create(agent=agent.id, environment_id=environment.id)
        assert [one.id for one in ben.beta.sessions.list()] == []
