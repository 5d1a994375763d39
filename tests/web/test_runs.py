"""A run on the wire: headers before the first byte, refusals that leave no reader behind, its own routes."""

from __future__ import annotations

import re
from typing import Any

import pytest

from app.factory import Server
from tests.harness.in_process import LocalClient
from tests.harness.strict_client import moment

UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def client(server: Server) -> LocalClient:
    return LocalClient(server)


def test_a_run_streams_frames_that_the_contracts_client_reads(client: LocalClient) -> None:
    session = client.new_session()
    response = client.try_run(session, "[say hello]")
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/event-stream"
    assert "no-cache" in response.headers["Cache-Control"]
    assert response.headers["Connection"] == "keep-alive"
    assert response.headers["X-Accel-Buffering"] == "no"
    assert "Content-Length" not in response.headers
    retry, *frames = response.get_data(as_text=True).removesuffix("\n\n").split("\n\n")
    assert re.fullmatch(r"retry: \d+", retry)
    numbers = [re.fullmatch(r"id: (\d+)\ndata: \{.*\}", frame) for frame in frames]
    assert [int(number[1]) for number in numbers if number] == list(range(1, len(frames) + 1))
    client.wait_until_free(session)


def test_messages_of_a_run_have_the_contracts_keys(client: LocalClient) -> None:
    session = client.new_session(tools_approved=True)
    with client.run(session, '[call shell {"cmd":"echo hi"}][then][say done]', agent="tools") as stream:
        stream.rest()
    client.wait_until_free(session)
    detail = client.session(session)
    said, called, result, answer = detail["messages"]
    assert [item["agentName"] for item in detail["messages"]] == ["", "root", "root", "root"]
    assert set(said["message"]) == {"role", "content", "created_at"}
    assert said["message"]["role"] == "user"
    (call,) = called["message"]["tool_calls"]
    assert (call["type"], call["function"]["name"]) == ("function", "shell")
    assert [tool["name"] for tool in called["message"]["tool_definitions"]] == ["shell"]
    assert (result["message"]["role"], result["message"]["tool_call_id"]) == ("tool", call["id"])
    assert result["message"]["content"] == "hi"
    assert answer["message"]["content"] == "done"
    assert set(answer["message"]["usage"]) == {
        "input_tokens",
        "output_tokens",
        "cached_input_tokens",
        "cached_write_tokens",
    }
    assert detail["input_tokens"] > 0
    (summary,) = client.call("GET", "/api/sessions")
    assert summary["num_messages"] == 4
    assert summary["output_tokens"] == detail["output_tokens"] > 0


def held(run: dict[str, Any]) -> dict[str, Any]:
    """A live run without its lease, which may be renewed between two looks."""
    return {name: value for name, value in run.items() if name != "lease_expires_at"}


def test_a_run_can_be_looked_up_while_it_waits_and_after_it_ended(client: LocalClient) -> None:
    session = client.new_session()
    call = '[call shell {"cmd":"true"}][then][say done]'
    with client.run(session, call, agent="tools") as stream:
        stream.until("tool_call_confirmation")
        (run,) = client.call("GET", "/api/runs?status=awaiting_approval,running")
        moment(run["started_at"], "started_at")
        assert (run["session_id"], run["agent"], run["status"]) == (
            session,
            "tools/root",
            "awaiting_approval",
        )
        assert (run["waiting_for"]["kind"], run["waiting_for"]["tool"]) == ("approval", "shell")
        assert held(client.call("GET", f"/api/runs/{run['id']}")) == held(run)
        assert {**held(client.session(session)["run"]), "phase": "waiting"} == held(run)
        assert client.call("GET", "/api/runs?status=finished") == []
        assert client.call("POST", f"/api/sessions/{session}/resume", {"confirmation": "approve"}) == {
            "message": "session resumed"
        }
        stream.rest()
    client.wait_until_free(session)
    ended = client.call("GET", f"/api/runs/{run['id']}")
    assert ended["status"] == "finished"
    moment(ended["ended_at"], "ended_at")
    assert "waiting_for" not in ended
    assert "run" not in client.session(session)
    assert client.call("GET", "/api/runs?status=running,awaiting_approval,awaiting_input") == []


def test_a_busy_session_says_who_has_it_where_to_look_and_when_to_come_back(client: LocalClient) -> None:
    session = client.new_session()
    with client.run(session, '[call shell {"cmd":"true"}]', agent="tools") as stream:
        stream.until("tool_call_confirmation")
        refused = client.try_run(session, "me too", agent="tools")
        body = refused.get_json()
        assert refused.status_code == 409
        assert int(refused.headers["Retry-After"]) > 0
        assert refused.headers["Location"] == f"/api/sessions/{session}/events"
        assert body["message"] == body["error"] == "session is already processing a request"
        assert body["code"] == "awaiting_approval"
        assert body["run"]["session_id"] == session
        assert body["run"]["waiting_for"]["tool"] == "shell"
        client.stop(session)


def test_an_elicitation_is_answered_with_null(client: LocalClient) -> None:
    session = client.new_session(tools_approved=True)
    ask = '[call user_prompt {"message":"which?"}][then][say done]'
    with client.run(session, ask, agent="tools") as stream:
        stream.until("elicitation_request")
        path = f"/api/sessions/{session}/elicitation"
        response = client.ask("POST", path, {"action": "accept", "content": {"a": 1}})
        assert (response.status_code, response.get_data()) == (200, b"null\n")
        stream.rest()
    client.wait_until_free(session)


def test_a_cancelled_run_is_shown_as_it_ended(client: LocalClient) -> None:
    session = client.new_session()
    with client.run(session, '[call shell {"cmd":"true"}]', agent="tools") as stream:
        stream.until("tool_call_confirmation")
        answered = client.call("POST", f"/api/sessions/{session}/cancel?wait=30s")
        assert answered["run"]["status"] == "cancelled"
        again = client.ask("POST", f"/api/sessions/{session}/cancel")
        assert (again.status_code, again.get_json()["code"]) == (409, "not_running")


def test_another_runs_id_does_not_cancel_the_live_one(client: LocalClient) -> None:
    session = client.new_session()
    with client.run(session, '[call shell {"cmd":"true"}]', agent="tools") as stream:
        stream.until("tool_call_confirmation")
        answered = client.ask("POST", f"/api/sessions/{session}/cancel", {"run_id": "0123456789"})
        assert (answered.status_code, answered.get_json()["code"]) == (409, "not_running")
        assert client.session(session)["run"]["status"] == "awaiting_approval"
        client.stop(session)


def test_head_of_a_sessions_events_leaves_no_reader_behind(server: Server, client: LocalClient) -> None:
    session = client.new_session()
    response = client.ask("HEAD", f"/api/sessions/{session}/events")
    assert (response.status_code, response.get_data()) == (200, b"")
    assert response.headers["Content-Type"] == "text/event-stream"
    response.close()  # as every server does
    assert server.runtime.logs.find(session) is None


def test_a_reader_that_never_reads_a_byte_is_let_go(server: Server, client: LocalClient) -> None:
    session = client.new_session()
    with client.follow(session):
        assert server.runtime.logs.find(session) is not None
    assert server.runtime.logs.find(session) is None


@pytest.mark.parametrize("cursor", ["x", "-1"])
def test_a_refused_reader_is_never_registered(server: Server, client: LocalClient, cursor: str) -> None:
    session = client.new_session()
    response = client.ask("GET", f"/api/sessions/{session}/events?since={cursor}")
    assert response.status_code == 422
    assert server.runtime.logs.find(session) is None


def test_a_reader_of_an_unknown_session_is_404_before_the_first_byte(client: LocalClient) -> None:
    response = client.ask("GET", f"/api/sessions/{UNKNOWN}/events")
    assert (response.status_code, response.content_type) == (404, "application/json")
