"""F1, F2: many requests reach one session at once; one is served, and of the others nothing is left."""

from __future__ import annotations

import json
from typing import Any

import requests

from anthropic_standin.standin_server import OfflineServer
from tests.harness.gate import Gate
from tests.harness.process import BatonProcess
from tests.harness.wire import Client, Event, Stream, in_parallel

MANY = 50


def assert_busy(response: requests.Response, session: str) -> None:
    """The whole refusal, as the documents promise it, but for the holder: that may not have a row yet."""
    body = response.json()
    assert response.status_code == 409
    assert response.headers["Retry-After"] == "2"
    assert response.headers["Location"] == f"/api/sessions/{session}/events"
    assert body["message"] == body["error"] == "session is already processing a request"
    assert body["code"] == "session_busy"
    assert body["request_id"] == response.headers["X-Request-ID"]


def results_of(events: list[Event]) -> list[str]:
    return [event["response"] for event in events if event["type"] == "tool_call_response"]


def test_f1_of_fifty_requests_at_once_one_runs_and_the_others_are_refused(
    baton: BatonProcess, client: Client, model: OfflineServer, gate: Gate
) -> None:
    session = client.new_session(tools_approved=True)
    clients = [Client(baton.url) for _ in range(MANY)]
    text = f"{gate.call}[then][say all done]"
    responses = in_parallel([lambda one=one: one.try_run(session, text, agent="tools") for one in clients])
    [accepted] = [response for response in responses if response.status_code == 200]
    gate.wait_until_reached()
    for response in responses:
        if response is not accepted:
            assert_busy(response, session)
    gate.open()
    events = Stream(accepted).rest()
    assert results_of(events) == ["the gate was opened"]
    assert [message["role"] for message in client.messages(session)] == [
        "user",
        "assistant",
        "tool",
        "assistant",
    ]
    assert client.say(session, "[say still here]", agent="tools")[-1]["type"] == "stream_stopped"
    assert len(model.requests) == 3
    for one in clients:
        one.close()


def test_f1_requests_that_come_while_the_tool_runs_are_refused_in_the_same_words(
    baton: BatonProcess, client: Client, gate: Gate
) -> None:
    session = client.new_session(tools_approved=True)
    clients = [Client(baton.url) for _ in range(MANY - 1)]
    with client.run(session, f"{gate.call}[then][say all done]", agent="tools") as stream:
        gate.wait_until_reached()
        refusals = in_parallel([lambda one=one: one.try_run(session, "me", agent="tools") for one in clients])
        holders = []
        for response in refusals:
            assert_busy(response, session)
            holders.append(response.json()["run"])
        gate.open()
        stream.rest()
    [holder] = [one for one in client.get("/api/runs").json() if one["session_id"] == session]
    assert {one["id"] for one in holders} == {holder["id"]}
    assert {one["status"] for one in holders} == {"running"}
    assert {one["started_at"] for one in holders} == {holder["started_at"]}
    assert {one["agent"] for one in holders} == {holder["agent"]}
    for one in clients:
        one.close()


def test_f2_a_refused_request_leaves_no_trace(client: Client, model: OfflineServer, gate: Gate) -> None:
    session = client.new_session(tools_approved=True)
    client.request("PATCH", f"/api/sessions/{session}/title", json={"title": "Mine"})
    with client.run(session, f"{gate.call}[then][say all done]", agent="tools") as stream:
        gate.wait_until_reached()
        before = everything(client, session)
        for agent in ("plain", "tools", "limited"):
            assert client.try_run(session, "a secret of the refused", agent=agent).status_code == 409
        assert everything(client, session) == before
        gate.open()
        stream.rest()
    client.say(session, "[say and on]", agent="tools")
    assert "a secret of the refused" not in json.dumps(model.requests)
    assert "a secret of the refused" not in json.dumps(client.session(session))


def everything(client: Client, session: str) -> list[Any]:
    """All that can be seen of a session, but for the lease, which is renewed by itself."""
    detail = client.session(session)
    listed = [one for one in client.get("/api/sessions").json() if one["id"] == session]
    runs = [one for one in client.get("/api/runs").json() if one["session_id"] == session]
    for run in (detail["run"], *runs):
        run.pop("lease_expires_at")
    return [detail, listed, runs]
