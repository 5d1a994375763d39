"""The contract's client sends all that its user ever said with each run: known messages are not stored again."""

from __future__ import annotations

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server
from tests.harness.in_process import LocalClient
from tests.harness.wire import Event, text_of


@pytest.fixture
def client(server: Server) -> LocalClient:
    return LocalClient(server)


def say(client: LocalClient, session: str, *texts: str) -> list[Event]:
    with client.run(session, *texts) as stream:
        return stream.rest()


def said(client: LocalClient, session: str) -> list[str]:
    return [message["content"] for message in client.messages(session) if message["role"] == "user"]


def test_turn_after_turn_each_message_is_stored_and_shown_once(
    client: LocalClient, model: OfflineServer
) -> None:
    session = client.new_session(title="t")
    texts = [f"[say answer {number}]" for number in range(1, 4)]
    for turn in range(1, 4):
        events = say(client, session, *texts[:turn])
        assert text_of(events) == f"answer {turn}"
        (told,) = (event for event in events if event["type"] == "user_message")
        assert (told["message"], told["session_position"]) == (texts[turn - 1], 2 * (turn - 1))
    assert said(client, session) == texts
    roles = [message["role"] for message in model.requests[-1]["messages"]]
    assert roles == ["user", "assistant"] * 2 + ["user"]


def test_only_the_end_of_what_the_user_said_counts_as_known(client: LocalClient) -> None:
    session = client.new_session()
    say(client, session, "one", "two", "[say a]")
    say(client, session, "two", "[say a]", "[say b]")
    assert said(client, session) == ["one", "two", "[say a]", "[say b]"]
    say(client, session, "one", "[say c]")
    assert said(client, session)[4:] == ["one", "[say c]"]


def test_what_is_said_twice_is_stored_twice(client: LocalClient) -> None:
    session = client.new_session()
    say(client, session, "[say yes]")
    say(client, session, "[say yes]")
    assert said(client, session) == ["[say yes]"] * 2
    say(client, session, "[say yes]", "[say yes]", "[say yes]")
    assert said(client, session) == ["[say yes]"] * 3


def test_a_message_that_was_refused_with_its_request_is_stored_with_the_next(client: LocalClient) -> None:
    session = client.new_session()
    say(client, session, "[say one]")
    with client.run(session, '[call shell {"cmd":"true"}]', agent="tools") as stream:
        stream.until("tool_call_confirmation")
        assert client.try_run(session, "[say two]").status_code == 409
        client.resume(session, "reject")
        stream.rest()
    texts = ["[say one]", '[call shell {"cmd":"true"}]', "[say two]", "[say three]"]
    say(client, session, *texts)
    assert said(client, session) == texts
