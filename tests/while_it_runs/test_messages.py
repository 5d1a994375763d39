"""Messages that people write into a conversation between two runs: with the baton, and never so that it breaks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from app.store.session_rows import read_messages
from tests.harness.gate import Gate
from tests.harness.in_process import LocalClient
from tests.while_it_runs.talk import roles


def put(role: str, content: str) -> dict[str, Any]:
    return {"message": {"role": role, "content": content}}


def add(client: LocalClient, session: str, role: str, content: str, *, expect: int = 201) -> Any:
    return client.call("POST", f"/api/sessions/{session}/messages", put(role, content), expect=expect)


def edit(
    client: LocalClient, session: str, position: int, role: str, content: str, *, expect: int = 200
) -> Any:
    path = f"/api/sessions/{session}/messages/{position}"
    return client.call("PATCH", path, put(role, content), expect=expect)


def texts(client: LocalClient, session: str) -> list[str]:
    return [message["content"] for message in client.messages(session)]


def test_what_was_added_is_part_of_the_conversation(here: LocalClient) -> None:
    session = here.new_session()
    assert add(here, session, "user", "I am Ann.") == {"status": "added", "id": 0}
    assert add(here, session, "assistant", "Hello, Ann.") == {"status": "added", "id": 1}
    here.say(session, "[say fine]")  # the stand-in judges all of it
    assert texts(here, session) == ["I am Ann.", "Hello, Ann.", "[say fine]", "fine"]


def test_changed_words_of_every_role_are_what_the_model_is_shown_later(here: LocalClient) -> None:
    session = here.new_session(tools_approved=True)
    here.say(session, '[say first] [call shell {"cmd":"echo secret"}] [then] [say done]', agent="tools")
    assert roles(here, session) == ["user", "assistant", "tool", "assistant"]
    for position, role in enumerate(roles(here, session)):
        assert edit(here, session, position, role, f"changed {position}") == {"status": "updated"}
    assert texts(here, session) == [f"changed {position}" for position in range(4)]
    assert here.messages(session)[1]["tool_calls"][0]["id"] == here.messages(session)[2]["tool_call_id"]
    here.say(session, "[say still fine]", agent="tools")


def test_a_stored_entry_can_be_sent_back_as_the_session_shows_it(here: LocalClient) -> None:
    session = here.new_session()
    here.say(session, "[say one]")
    entry = here.session(session)["messages"][0]
    path = f"/api/sessions/{session}/messages"
    here.call("POST", path, {"message": entry}, expect=201)
    assert texts(here, session) == ["[say one]", "one", "[say one]"]


@pytest.mark.parametrize(
    ("role", "content", "code"),
    [
        ("tool", "a result of nothing", "invalid_transcript"),
        ("assistant", "I begin", "invalid_transcript"),
        ("user", "  ", "invalid_request"),
        ("system", "obey", "invalid_request"),
    ],
)
def test_what_would_break_the_conversation_is_refused(
    here: LocalClient, role: str, content: str, code: str
) -> None:
    session = here.new_session()
    assert add(here, session, role, content, expect=422)["code"] == code
    assert here.messages(session) == []


def test_a_message_keeps_its_role_and_has_to_be_there(here: LocalClient) -> None:
    session = here.new_session()
    here.say(session, "[say one]")
    assert edit(here, session, 0, "assistant", "no", expect=422)["code"] == "invalid_transcript"
    assert edit(here, session, 2, "user", "no", expect=404)["code"] == "unknown_message"
    assert texts(here, session) == ["[say one]", "one"]


def test_a_run_of_another_process_keeps_writers_out(
    here: LocalClient, there: LocalClient, gate: Gate
) -> None:
    session = here.new_session(tools_approved=True)
    with here.run(session, f"{gate.call}[then][say done]", agent="tools") as stream:
        gate.wait_until_reached()
        busy = add(there, session, "user", "me too", expect=409)
        edit(there, session, 0, "user", "something else", expect=409)
        gate.open("the result")
        stream.rest()
    assert (busy["code"], busy["run"]["agent"]) == ("session_busy", "tools/root")
    assert roles(here, session) == ["user", "assistant", "tool", "assistant"]


@contextmanager
def slow_write(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, Callable[[], None]]]:
    """Stops writers in the middle of their write; set once one is there."""
    reached, go = threading.Event(), threading.Event()

    def read(*arguments: Any) -> Any:
        reached.set()
        assert go.wait(30)
        return read_messages(*arguments)

    monkeypatch.setattr("app.store.held_conversation.read_messages", read)
    try:
        yield reached, go.set
    finally:
        go.set()


def test_f11_the_lock_is_held_over_the_whole_write_not_only_for_a_look(
    here: LocalClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = here.new_session()
    with slow_write(monkeypatch) as (reached, go_on):
        writer = threading.Thread(target=add, args=(here, session, "user", "slowly"))
        writer.start()
        assert reached.wait(30)
        refused = LocalClient(here.server).try_run(session, "[say too early]")
        go_on()
        writer.join(30)
    assert refused.status_code == 409
    here.say(session, "[say now]")
    assert texts(here, session) == ["slowly", "[say now]", "now"]


def test_a_run_that_another_process_begins_in_the_middle_of_a_write_comes_after_it(
    here: LocalClient, there: LocalClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = here.new_session()
    with slow_write(monkeypatch) as (reached, go_on):
        writer = threading.Thread(target=add, args=(here, session, "user", "slowly"))
        runner = threading.Thread(target=there.say, args=(session, "[say then]"))
        writer.start()
        assert reached.wait(30)
        runner.start()
        go_on()
        writer.join(30)
        runner.join(30)
    assert texts(here, session) == ["slowly", "[say then]", "then"]
