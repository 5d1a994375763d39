"""A session with the tasks that were given away in it: their states, numbers and needs, as one tree."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import Engine, event

from tests.conftest import server_of
from tests.harness.in_process import LocalClient
from tests.harness.process import eventually

TEAM = """
agents:
  boss: {model: anthropic/claude-sonnet-5-5, sub_agents: [worker], handoffs: [other, head]}
  head: {model: small, description: d, sub_agents: [helper], toolsets: [{type: background_agents}]}
  worker: {model: small, description: d, sub_agents: [helper], toolsets: [{type: shell}, {type: user_prompt}]}
  helper: {model: small, description: d, toolsets: [{type: think}]}
  other: {model: small, description: d}
models:
  small: {provider: anthropic, model: claude-haiku-4-5}
"""


server = server_of(TEAM)


def given(agent: str, task: str) -> str:
    """What makes an agent give the task away."""
    arguments = {"agent": agent, "task": task, "expected_output": ""}
    return f"[call transfer_task {json.dumps(arguments)}][then][say done]"


def tree(local: LocalClient, session: str) -> dict[str, Any]:
    return dict(local.call("GET", f"/api/sessions/{session}/tree"))


def nodes(local: LocalClient, session: str) -> list[dict[str, Any]]:
    """All of them, parents first."""
    body = tree(local, session)
    (top,) = body["nodes"]
    found, left = [], [top]
    while left:
        one = left.pop(0)
        found.append(one["node"])
        left += one.get("children", [])
    assert body["root"] == found[0]["id"]
    return found


def live(local: LocalClient, session: str) -> list[tuple[str, bool]]:
    rows = local.call("GET", f"/api/sessions/{session}/live-sessions")
    return [(row["agent_name"], row["current"]) for row in rows]


def test_a_session_of_its_own_is_a_tree_of_one_node(local: LocalClient) -> None:
    session = local.new_session()
    body = tree(local, session)
    assert (body["version"], body["durability"], body["root"]) == (1, "durable", f"root:{session}")
    (node,) = nodes(local, session)
    assert (node["agent"], node["state"], node["needs_attention"]) == ("", "idle", False)
    assert not {"waiting_on", "error", "parent"} & node.keys()
    assert live(local, session) == [("", True)]
    local.say(session, "[say hello]", agent="team")
    (node,) = nodes(local, session)
    shown = local.session(session)
    assert (node["agent"], node["state"], node["session_id"]) == ("boss", "idle", session)
    assert node["input_tokens"] == shown["input_tokens"] > 0
    assert node["tool_calls"] == 0
    assert node["created_at"] <= node["updated_at"]


def test_tasks_of_tasks_are_below_with_their_own_numbers(local: LocalClient) -> None:
    session = local.new_session()
    inner = given("helper", '[call think {"thought": "x"}][then][say thought]')
    local.say(session, given("worker", inner), agent="team")
    top, worker, helper = nodes(local, session)
    assert [node["agent"] for node in (top, worker, helper)] == ["boss", "worker", "helper"]
    assert [node["state"] for node in (top, worker, helper)] == ["idle", "completed", "completed"]
    assert (worker["parent"], helper["parent"]) == (top["id"], worker["id"])
    assert [node["tool_calls"] for node in (top, worker, helper)] == [1, 1, 1]
    assert all(node["input_tokens"] > 0 and node["output_tokens"] > 0 for node in (top, worker, helper))
    whole = local.call("GET", f"/api/sessions/{session}/snapshot")["cost"]
    assert top["cost"] == pytest.approx(whole)
    assert nodes(local, worker["session_id"]) == [
        {key: value for key, value in worker.items() if key != "parent"},
        helper,
    ]
    assert live(local, session) == [("boss", True)]


def test_a_task_that_waits_for_somebody_says_so(local: LocalClient) -> None:
    session = local.new_session()
    for call, need in (
        ('shell {"cmd": "true"}', "approve tool"),
        ('user_prompt {"message": "a?"}', "answer question"),
    ):
        with local.run(session, given("worker", f"[call {call}][then][say ok]"), agent="team") as stream:
            stream.until("tool_call_confirmation" if need == "approve tool" else "elicitation_request")
            top, *_, worker = nodes(local, session)
            assert (top["state"], top["needs_attention"]) == ("running", False)
            assert (worker["state"], worker["needs_attention"], worker["waiting_on"]) == (
                "running",
                True,
                need,
            )
            (alone,) = nodes(local, worker["session_id"])
            assert alone["waiting_on"] == need
            assert live(local, session) == [("boss", True), ("worker", False)]
            if need == "approve tool":
                local.call("POST", f"/api/sessions/{session}/resume", {"confirmation": "approve"})
            else:
                local.elicit(session, "accept", {"response": "b"})
            stream.rest()
        local.wait_until_free(session)
        assert [node["state"] for node in nodes(local, session)[1:]] == ["completed"] * (
            len(nodes(local, session)) - 1
        )
        assert live(local, session) == [("boss", True)]


def test_a_task_in_the_background_has_a_node_of_its_own(local: LocalClient) -> None:
    session = local.new_session(permissions={"allow": ["run_background_agent"]})
    for task, state in (("[say helped]", "completed"), ("[fail 400]", "failed")):
        arguments = json.dumps({"agent": "helper", "task": task})
        local.say(session, f"[call run_background_agent {arguments}][then][say begun]", agent="team/head")

        def last(wanted: str = state) -> bool:
            return bool(nodes(local, session)[-1]["state"] == wanted)

        eventually(last, f"the task has {state}")
    top, first, second = nodes(local, session)
    assert [node["agent"] for node in (top, first, second)] == ["head", "helper", "helper"]
    assert (first["state"], first["parent"], first["needs_attention"]) == ("completed", top["id"], False)
    assert (second["state"], second["waiting_on"]) == ("failed", "failed")
    assert second["error"]


def test_a_run_that_failed_needs_attention(local: LocalClient) -> None:
    session = local.new_session()
    local.say(session, "[fail 400]", agent="team")
    (node,) = nodes(local, session)
    assert (node["state"], node["needs_attention"], node["waiting_on"]) == ("failed", True, "failed")
    assert node["error"]


def test_the_agent_that_has_the_conversation_is_named_with_its_window(local: LocalClient) -> None:
    session = local.new_session()
    local.say(session, '[call handoff {"agent": "other"}][then][say mine]', agent="team")
    assert nodes(local, session)[0]["agent"] == "other"
    (row,) = local.call("GET", f"/api/sessions/{session}/live-sessions")
    assert (row["agent_name"], row["context_limit"]) == ("other", 200_000)
    assert row["input_tokens"] == local.session(session)["input_tokens"]


def test_a_large_tree_takes_no_more_statements_than_a_small_one(local: LocalClient) -> None:
    def statements(session: str) -> int:
        seen = 0

        def count(*_: Any) -> None:
            nonlocal seen
            seen += 1

        event.listen(Engine, "before_cursor_execute", count)
        tree(local, session)
        event.remove(Engine, "before_cursor_execute", count)
        return seen

    small, large = local.new_session(), local.new_session()
    for _ in range(3):
        local.say(large, given("worker", given("helper", "[say x]")), agent="team")
    assert len(nodes(local, large)) == 7
    assert statements(large) == statements(small)
