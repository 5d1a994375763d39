"""Forks: a copy that is a conversation of its own, and that the model's API takes."""

from __future__ import annotations

from typing import Any

import pytest

from app.store.session_rows import read_messages
from tests.harness.gate import Gate
from tests.harness.in_process import LocalClient
from tests.while_it_runs.talk import roles


def fork(client: LocalClient, session: str, index: int | None = None, *, expect: int = 200) -> Any:
    body = {} if index is None else {"user_message_index": index}
    return client.call("POST", f"/api/sessions/{session}/fork", body, expect=expect)


def talk(client: LocalClient) -> str:
    """Two turns, the first with a call."""
    session = client.new_session(tools_approved=True)
    client.say(session, '[call shell {"cmd":"echo first"}] [then] [say one]', agent="tools")
    client.say(session, "[say two]", agent="tools")
    return session


def test_a_fork_ends_before_the_message_and_goes_its_own_way(here: LocalClient, there: LocalClient) -> None:
    session = talk(here)
    here.call("PATCH", f"/api/sessions/{session}/title", {"title": "Plans"})
    before = here.session(session)
    copy = fork(there, session, 1)
    assert copy["title"] == "Plans (fork 1)"
    assert copy["messages"] == before["messages"][:4]
    assert fork(here, session, 1)["title"] == "Plans (fork 2)"
    there.say(copy["id"], "[say otherwise]", agent="tools")
    assert [m["content"] for m in here.messages(copy["id"])][4:] == ["[say otherwise]", "otherwise"]
    assert here.session(session) == before


def test_a_fork_before_the_first_message_is_empty_and_one_without_an_index_is_whole(
    here: LocalClient,
) -> None:
    session = talk(here)
    assert "messages" not in fork(here, session, 0)
    assert fork(here, session)["messages"] == here.session(session)["messages"]


@pytest.mark.parametrize(("index", "status"), [(2, 400), (-1, 400)])
def test_a_bad_index_is_refused(here: LocalClient, index: int, status: int) -> None:
    session = talk(here)
    sessions = here.call("GET", "/api/sessions")
    assert fork(here, session, index, expect=status)["code"] == "invalid_request"
    assert here.call("GET", "/api/sessions") == sessions


def fork_before(client: LocalClient, session: str, *, expect: int = 200, **body: int) -> Any:
    return client.call("POST", f"/api/sessions/{session}/fork", body, expect=expect)


@pytest.mark.parametrize("index", [0, 1, 3, 4, 5, 6])
def test_a_fork_can_end_before_any_message_that_is_no_result(
    here: LocalClient, there: LocalClient, index: int
) -> None:
    session = talk(here)
    copy = fork_before(there, session, message_index=index)
    assert copy.get("messages", []) == here.session(session)["messages"][:index]
    there.say(copy["id"], "[say otherwise]", agent="tools")


@pytest.mark.parametrize("index", [-1, 2, 7])
def test_a_fork_that_would_part_a_call_from_its_result_is_refused(here: LocalClient, index: int) -> None:
    session = talk(here)
    assert fork_before(here, session, expect=400, message_index=index)["code"] == "invalid_request"


def test_of_two_indexes_that_of_the_users_message_counts(here: LocalClient) -> None:
    session = talk(here)
    assert len(fork_before(here, session, message_index=1, user_message_index=1)["messages"]) == 4


def test_f26_a_fork_may_reuse_the_ids_of_its_calls(here: LocalClient) -> None:
    """The stand-in judges the copy with calls, and the ids that new calls get in it."""
    session = talk(here)
    copy = fork(here, session)["id"]
    here.say(copy, '[call shell {"cmd":"echo again"}] [then] [say done]', agent="tools")
    here.say(session, '[call shell {"cmd":"echo parent"}] [then] [say done]', agent="tools")
    for one, said in ((copy, "again"), (session, "parent")):
        ids = [call["id"] for m in here.messages(one) for call in m.get("tool_calls", [])]
        results = [m["content"] for m in here.messages(one) if m["role"] == "tool"]
        assert len(ids) == len(set(ids)) == 2
        assert said in results[-1]


def test_f28_a_fork_of_a_session_with_a_silent_tool_goes_on(here: LocalClient) -> None:
    session = here.new_session(tools_approved=True)
    here.say(session, '[call shell {"cmd":"true"}] [then] [say done]', agent="tools")
    copy = fork(here, session)["id"]
    here.say(copy, "[say still fine]", agent="tools")
    assert here.messages(copy)[-1]["content"] == "still fine"


def test_a_fork_during_a_run_ends_where_the_conversation_is_whole(
    here: LocalClient, there: LocalClient, gate: Gate
) -> None:
    session = talk(here)
    with here.run(session, f"{gate.call}[then][say done]", agent="tools") as stream:
        gate.wait_until_reached()
        refused = fork(there, session, expect=409)
        copy = fork(there, session, 2)["id"]
        there.say(copy, "[say meanwhile]", agent="tools")
        gate.open("the result")
        stream.rest()
    assert refused["code"] == "session_busy"
    turn = ["user", "assistant"]
    assert roles(here, copy) == ["user", "assistant", "tool", "assistant", *turn, *turn]


def test_a_fork_shares_nothing_with_its_parent(here: LocalClient) -> None:
    session = talk(here)
    copy = fork(here, session)["id"]
    here.call("DELETE", f"/api/sessions/{session}")
    with here.server.store.database.reading() as connection:
        assert len(read_messages(connection, copy)) == 6
    here.say(copy, "[say still fine]", agent="tools")
