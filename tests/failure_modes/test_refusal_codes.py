"""F40: a refused request learns why, by a code that stays the same."""

from __future__ import annotations

import requests

from anthropic_standin.standin_server import OfflineServer
from tests.harness.gate import Gate
from tests.harness.wire import Client

CALL = '[call shell {"cmd":"echo done"}][then][say finished]'


def refusal(response: requests.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def test_f40_a_session_at_work_is_busy(client: Client, gate: Gate) -> None:
    session = client.new_session(tools_approved=True)
    with client.run(session, gate.call, agent="tools") as stream:
        gate.wait_until_reached()
        assert refusal(client.try_run(session, "me too")) == (409, "session_busy")
        gate.open()
        stream.rest()


def test_f40_one_that_waits_for_an_approval_says_for_which(client: Client) -> None:
    session = client.new_session()
    with client.run(session, CALL, agent="tools") as stream:
        asked = stream.until("tool_call_confirmation")
        refused = client.try_run(session, "me too")
        assert refusal(refused) == (409, "awaiting_approval")
        assert refused.json()["run"]["waiting_for"] == {
            "kind": "approval",
            "call_id": asked["tool_call"]["id"],
            "tool": "shell",
            "arguments": {"cmd": "echo done"},
            "agent": "root",
        }
        client.resume(session, "approve")
        stream.rest()


def test_f40_one_that_waits_for_an_answer_is_told_from_one_that_waits_for_an_approval(client: Client) -> None:
    session = client.new_session()
    with client.run(session, '[call user_prompt {"message":"Which?"}]', agent="tools") as stream:
        stream.until("elicitation_request")
        assert refusal(client.try_run(session, "me too")) == (409, "awaiting_input")
        assert refusal(client.resume(session, "approve")) == (409, "nothing_to_answer")
        answer = {"action": "accept", "content": {"choice": "this"}}
        assert client.post(f"/api/sessions/{session}/elicitation", answer).status_code == 200
        stream.rest()


def test_f40_one_that_was_stopped_has_nothing_more_to_stop(client: Client, model: OfflineServer) -> None:
    session = client.new_session()
    with client.run(session, "[hold 0][say never said]") as stream:
        assert model.wait_until(lambda stats: stats.open_streams == 1)
        stopped = client.post(f"/api/sessions/{session}/cancel?wait=30")
        assert stopped.json()["run"]["status"] == "cancelled"
        stream.rest()
    assert refusal(client.post(f"/api/sessions/{session}/cancel")) == (409, "not_running")


def test_f40_nothing_to_answer_is_told_from_answered_already(client: Client) -> None:
    session = client.new_session()
    assert refusal(client.resume(session, "approve")) == (409, "nothing_to_answer")
    with client.run(session, CALL, agent="tools") as stream:
        call_id = stream.until("tool_call_confirmation")["tool_call"]["id"]
        assert client.resume(session, "reject", reason="no", call_id=call_id).status_code == 200
        stream.rest()
    late = client.resume(session, "approve", call_id=call_id)
    assert refusal(late) == (409, "answered_already")
    assert (late.json()["decision"], late.json()["reason"]) == ("reject", "no")
    assert refusal(client.resume(session, "approve")) == (409, "nothing_to_answer")


def test_f40_a_session_that_is_not_there_is_no_busy_one(client: Client) -> None:
    assert refusal(client.try_run("no-such-session", "hello")) == (404, "unknown_session")
    assert refusal(client.post("/api/sessions/no-such-session/cancel")) == (404, "unknown_session")
