"""A run's body may be an object that chooses the session's model."""

from __future__ import annotations

from typing import Any

import pytest

from app.factory import Server
from tests.harness.in_process import LocalClient

ID = "claude-opus-4-5"
OTHER = f"anthropic/{ID}"


@pytest.fixture
def client(server: Server) -> LocalClient:
    return LocalClient(server)


def choose(client: LocalClient, session: str, model: Any, *, query: str = "", expect: int = 200) -> None:
    sent = {"messages": [{"role": "user", "content": "[say hello]"}], "model": model}
    response = client.ask("POST", f"/api/sessions/{session}/agent/plain{query}", sent)
    assert response.status_code == expect, response.get_data(as_text=True)
    response.get_data()  # to its end


def models(client: LocalClient, session: str) -> list[str]:
    return [m["model"] for m in client.messages(session) if m["role"] == "assistant"]


def test_the_model_is_kept_for_the_sessions_later_runs(client: LocalClient) -> None:
    session = client.new_session()
    client.say(session, "[say one]")
    own = models(client, session)[0]
    choose(client, session, OTHER)
    client.say(session, "[say three]")
    assert client.session(session)["model"] == OTHER
    assert models(client, session) == [own, ID, ID]
    assert own != ID
    choose(client, session, "default")
    assert "model" not in client.session(session)
    assert models(client, session)[-1] == own


@pytest.mark.parametrize("nothing", [None, ""])
def test_a_body_that_names_no_model_leaves_it_as_it_is(client: LocalClient, nothing: Any) -> None:
    session = client.new_session()
    choose(client, session, OTHER)
    choose(client, session, nothing)
    assert models(client, session) == [ID, ID]


@pytest.mark.parametrize("bad", ["opus", "openai/gpt-5", "anthropic/", "anthropic/a b", 7])
def test_f8_a_bad_model_is_refused_and_leaves_nothing(client: LocalClient, bad: Any) -> None:
    session = client.new_session()
    choose(client, session, OTHER)
    before = client.session(session)
    choose(client, session, bad, expect=422)
    assert client.session(session) == before
    client.say(session, "[say still free]")


def test_a_model_that_comes_with_an_unknown_agent_is_not_stored(client: LocalClient) -> None:
    session = client.new_session()
    before = client.session(session)
    sent = {"messages": [{"content": "hello"}], "model": OTHER}
    client.call("POST", f"/api/sessions/{session}/agent/nobody", sent, expect=404)
    assert client.session(session) == before


def test_a_message_that_may_wait_cannot_choose_the_model(client: LocalClient) -> None:
    session = client.new_session()
    choose(client, session, OTHER, query="?when_busy=queue", expect=422)
    assert client.messages(session) == []
