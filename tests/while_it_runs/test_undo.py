"""Taking back what was said: the conversation goes on from there as if it had not been, and the model takes it."""

from __future__ import annotations

from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from tests.harness.gate import Gate
from tests.harness.in_process import LocalClient
from tests.while_it_runs.talk import roles


def undo(client: LocalClient, session: str, index: int | None = None, *, expect: int = 200) -> Any:
    body = None if index is None else {"user_message_index": index}
    return client.call("POST", f"/api/sessions/{session}/undo", body, expect=expect)


def talk(client: LocalClient) -> str:
    session = client.new_session(tools_approved=True)
    client.say(session, '[call shell {"cmd":"echo first"}] [then] [say one]', agent="tools")
    client.say(session, '[call shell {"cmd":"echo second"}] [then] [say two]', agent="tools")
    return session


def words(model: OfflineServer) -> list[str]:
    """The texts of the messages that the model was shown last."""
    return [
        block["text"]
        for message in model.requests[-1]["messages"]
        for block in message["content"]
        if block["type"] == "text"
    ]


def test_the_newest_message_of_the_user_goes_with_all_that_came_of_it(
    here: LocalClient, there: LocalClient, model: OfflineServer
) -> None:
    session = talk(here)
    before = here.messages(session)
    assert undo(there, session) == {"status": "undone", "num_messages": 4, "removed": 4}
    assert here.messages(session) == before[:4]
    assert here.call("GET", f"/api/sessions/{session}/status")["num_messages"] == 4
    # the calls that are made now may have the ids of those that are gone
    here.say(session, '[call shell {"cmd":"echo third"}] [then] [say three]', agent="tools")
    assert roles(here, session) == ["user", "assistant", "tool", "assistant"] * 2
    assert not any("second" in said for said in words(model))


def test_messages_that_were_said_together_are_taken_back_together(here: LocalClient) -> None:
    session = here.new_session()
    here.say(session, "[say one]")
    for content in ("and", "also"):
        said = {"message": {"role": "user", "content": content}}
        here.call("POST", f"/api/sessions/{session}/messages", said, expect=201)
    assert undo(here, session)["num_messages"] == 2


def test_an_index_names_the_message_and_the_first_takes_back_everything(here: LocalClient) -> None:
    session = talk(here)
    assert undo(here, session, 0) == {"status": "undone", "num_messages": 0, "removed": 8}
    assert here.messages(session) == []
    here.say(session, "[say fresh]", agent="tools")
    assert [message["content"] for message in here.messages(session)] == ["[say fresh]", "fresh"]


@pytest.mark.parametrize(("index", "status"), [(2, 400), (-1, 422)])
def test_a_message_that_is_not_there_is_not_taken_back(here: LocalClient, index: int, status: int) -> None:
    session = talk(here)
    before = here.session(session)
    assert undo(here, session, index, expect=status)["code"] == "invalid_request"
    assert here.session(session) == before
    assert undo(here, here.new_session(), expect=400)["code"] == "invalid_request"


def test_a_summary_of_what_is_taken_back_goes_and_an_older_one_stays(
    here: LocalClient, model: OfflineServer
) -> None:
    session = here.new_session()
    path = f"/api/sessions/{session}/summaries"
    for text in ("First.", "Second."):
        here.say(session, f"[say {text}]")
        here.call("POST", path, {"summary": text}, expect=201)
    assert undo(here, session)["num_messages"] == 2
    here.say(session, "[say on]")
    assert words(model) == ["Session Summary: First.", "[say on]"]
    here.call("POST", path, {"summary": "Another second one."}, expect=201)


def test_nothing_is_taken_back_from_a_run_at_work(here: LocalClient, gate: Gate) -> None:
    session = here.new_session(tools_approved=True)
    with here.run(session, f"{gate.call}[then][say done]", agent="tools") as stream:
        gate.wait_until_reached()
        before = here.messages(session)
        busy = undo(here, session, expect=409)
        assert (busy["code"], busy["run"]["agent"]) == ("session_busy", "tools/root")
        assert here.messages(session) == before
        gate.open("the result")
        stream.rest()
    undo(here, session)
    assert here.messages(session) == []
