"""The last turn is done again, if it failed: the model is asked what it was asked, and no tool call is made twice."""

from __future__ import annotations

from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from tests.harness.gate import Gate
from tests.harness.in_process import LocalClient, LocalStream
from tests.while_it_runs.talk import roles, said_by_user

FAILS_ONCE = "[fail 400 1][say better now]"


def retry(client: LocalClient, session: str, *, expect: int = 202, key: str = "") -> Any:
    headers = {"Idempotency-Key": key} if key else None
    return client.call("POST", f"/api/sessions/{session}/retry", {}, expect=expect, headers=headers)


def ended(client: LocalClient, run: str) -> dict[str, Any]:
    """The run, once it has ended."""
    session = client.call("GET", f"/api/runs/{run}")["session_id"]
    client.wait_until_free(session)
    return dict(client.call("GET", f"/api/runs/{run}"))


def followed(client: LocalClient, session: str) -> LocalStream:
    """The events of the session's next run."""
    return client.follow(
        session, since=client.call("GET", f"/api/sessions/{session}/snapshot")["last_event_seq"]
    )


def test_a_turn_that_failed_is_asked_again_without_a_new_message(
    here: LocalClient, model: OfflineServer
) -> None:
    session = here.new_session()
    assert here.say(session, FAILS_ONCE)[-1]["reason"] == "error"
    [failed] = here.call("GET", f"/api/runs?session={session}")
    with followed(here, session) as stream:
        answer = retry(here, session)
        stream.until("stream_stopped")
    assert answer == {"session_id": session, "turn_id": answer["turn_id"]}
    run = ended(here, answer["turn_id"])
    assert (run["status"], run["retries"], run["agent"]) == ("finished", failed["id"], failed["agent"])
    assert "user_message" not in stream.types
    assert stream.events[-1]["reason"] == "normal"
    assert roles(here, session) == ["user", "assistant"]
    first, second = model.requests[-2:]
    assert first["messages"] == second["messages"]


def test_an_answer_that_was_cut_stays_to_be_seen_and_is_not_shown_to_the_model(
    here: LocalClient, there: LocalClient, model: OfflineServer
) -> None:
    session = here.new_session()
    with here.run(session, "[words 50][hold 5 times 1]") as stream:
        stream.until("agent_choice")
        here.stop(session)
        stream.rest()
    ended(there, retry(there, session)["turn_id"])
    items = here.session(session)["messages"]
    assert [item["message"]["role"] for item in items] == ["user", "assistant", "assistant"]
    assert [item.get("partial") for item in items] == [None, "retried", None]
    first, second = model.requests[-2:]
    assert first["messages"] == second["messages"]
    here.say(session, "[say and on]")
    assert len(model.requests[-1]["messages"]) == 3


def test_a_call_that_ran_is_not_made_again(here: LocalClient, gate: Gate) -> None:
    session = here.new_session(tools_approved=True)
    with here.run(session, f"{gate.call}[then][fail 400 1][say done]", agent="tools") as stream:
        gate.wait_until_reached()
        gate.open("the one result")
        stream.rest()
    assert ended(here, retry(here, session)["turn_id"])["status"] == "finished"
    assert roles(here, session) == ["user", "assistant", "tool", "assistant"]
    assert here.messages(session)[2]["content"] == "the one result"


def test_a_call_whose_outcome_is_unknown_is_told_as_unknown_and_not_made_again(
    here: LocalClient, there: LocalClient, gate: Gate
) -> None:
    """Of the calls next to it, those that had not begun are told as not run."""
    session = here.new_session(tools_approved=True)
    with here.run(session, f"{gate.call}{gate.call}[then][say done]", agent="tools") as stream:
        gate.wait_until_reached()
        [run] = here.call("GET", f"/api/runs?session={session}")
        here.call("POST", f"/api/runs/{run['id']}/release", {})
        assert there.call("GET", f"/api/runs/{run['id']}")["status"] == "interrupted"
        stream.rest()
    assert ended(there, retry(there, session)["turn_id"])["status"] == "finished"
    assert roles(here, session) == ["user", "assistant", "tool", "tool", "assistant"]
    unknown, not_run = (message["content"] for message in here.messages(session)[2:4])
    assert "not known whether" in unknown
    assert "was not run" in not_run


def test_what_the_model_refused_is_shown_to_it_again(here: LocalClient, model: OfflineServer) -> None:
    session = here.new_session()
    here.say(session, "[say hello]")
    here.say(session, "[refuse]")
    asked = len(model.requests)
    for _ in range(2):  # a retry can be retried
        run = ended(here, retry(here, session)["turn_id"])
        assert (run["status"], run["code"]) == ("failed", "refused")
    assert [len(request["messages"]) for request in model.requests[asked - 1 :]] == [3, 3, 3]
    assert said_by_user(here, session) == ["[say hello]", "[refuse]"]
    assert here.session(session)["messages"][-1]["partial"] == "refused"


@pytest.mark.usefixtures("model")
def test_where_no_turn_failed_there_is_nothing_to_retry(here: LocalClient, there: LocalClient) -> None:
    session = here.new_session()
    assert retry(here, session, expect=409)["code"] == "nothing_to_retry"
    here.say(session, "[say hello]")
    assert retry(here, session, expect=409)["code"] == "nothing_to_retry"
    assert retry(here, "nobody", expect=404)["code"] == "unknown_session"
    here.say(session, FAILS_ONCE)
    here.call("POST", f"/api/sessions/{session}/undo", {})
    for client in (here, there):
        assert retry(client, session, expect=409)["code"] == "nothing_to_retry"
    assert roles(here, session) == ["user", "assistant"]


def test_a_session_at_work_is_busy_and_says_with_what(
    here: LocalClient, there: LocalClient, gate: Gate
) -> None:
    session = here.new_session(tools_approved=True)
    with here.run(session, f"{gate.call}[then][say done]", agent="tools") as stream:
        gate.wait_until_reached()
        [run] = here.call("GET", f"/api/runs?session={session}")
        for client in (here, there):
            refused = retry(client, session, expect=409)
            assert (refused["code"], refused["run"]["id"]) == ("session_busy", run["id"])
        gate.open()
        stream.rest()


def test_the_same_request_again_begins_no_second_run(here: LocalClient, there: LocalClient) -> None:
    session = here.new_session()
    here.say(session, "[fail 400 2][say better now]")
    first = retry(here, session, key="again")
    assert ended(here, first["turn_id"])["status"] == "failed"
    for client in (here, there):
        assert retry(client, session, key="again") == first
    second = retry(here, session, key="once-more")
    assert ended(here, second["turn_id"])["status"] == "finished"
    assert retry(there, session, key="once-more") == second
