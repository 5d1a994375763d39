"""Tasks for other agents, as a client decides about them: whether a conversation gives any away, and their end."""

from __future__ import annotations

from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.agent.delegation import NO_TASKS
from tests.conftest import server_of
from tests.harness.in_process import LocalClient
from tests.test_background_agents import ended, session_of, start
from tests.test_sequences import call_text

TEAM = """
agents:
  root:
    model: m
    sub_agents: [helper]
    handoffs: [helper]
    toolsets: [{type: background_agents}, {type: shell}]
  helper:
    model: m
    sub_agents: [root]
    toolsets: [{type: shell}]
models: {m: {provider: anthropic, model: claude-sonnet-5-5}}
permissions: {allow: [run_background_agent]}
"""
DELEGATING = {"transfer_task", "run_background_agent"}


server = server_of(TEAM)


def policy(local: LocalClient, session: str, enabled: Any = None, *, expect: int = 200) -> Any:
    method, body = ("GET", None) if enabled is None else ("PATCH", {"enabled": enabled})
    return local.call(method, f"/api/sessions/{session}/delegation-policy", body, expect=expect)


def offered(model: OfflineServer) -> set[str]:
    """The tools that the model was offered last."""
    return {tool["name"] for tool in model.requests[-1].get("tools", ())}


def transfer(task: str) -> str:
    return call_text("transfer_task", agent="helper", task=task) + "[then][say done]"


def task_of(local: LocalClient, session: str) -> str:
    (task,) = local.session(session)["tasks"]
    return str(task["id"])


def stop(local: LocalClient, session: str, *, expect: int = 204) -> Any:
    return local.call("POST", f"/api/sessions/{session}/stop-subtree", expect=expect)


def test_a_conversation_without_tasks_offers_its_agent_no_tool_for_them(
    local: LocalClient, model: OfflineServer
) -> None:
    session = local.new_session()
    assert policy(local, session) == {"enabled": True}
    assert policy(local, session, False) == {"enabled": False} == policy(local, session)
    local.say(session, "[say one]", agent="team")
    tools = offered(model)
    assert not tools & DELEGATING
    assert tools >= {"handoff", "view_background_agent", "stop_background_agent"}
    assert "lead a team" not in str(model.requests[-1]["system"])
    assert policy(local, session, True) == {"enabled": True}
    local.say(session, "[say two]", agent="team")
    assert offered(model) >= DELEGATING
    other = local.new_session()
    assert policy(local, other) == {"enabled": True}


def test_a_run_at_work_gives_no_more_tasks_away(local: LocalClient) -> None:
    session = local.new_session()
    with local.run(
        session, call_text("shell", cmd="true") + f"[then]{transfer('[say hello]')}", agent="team"
    ) as stream:
        stream.until("tool_call_confirmation")
        policy(local, session, False)
        local.resume(session, "approve")
        events = stream.rest()
    (refused,) = [event["result"] for event in events if event["type"] == "tool_call_response"][1:]
    assert refused["isError"] is True
    assert refused["output"] == NO_TASKS
    assert "tasks" not in local.session(session)


def test_a_background_task_is_refused_at_once_too(local: LocalClient) -> None:
    session = local.new_session()
    begin = call_text("run_background_agent", agent="helper", task="[say hello]")
    with local.run(
        session, call_text("shell", cmd="true") + f"[then]{begin}[then][say x]", agent="team"
    ) as stream:
        stream.until("tool_call_confirmation")
        policy(local, session, False)
        local.resume(session, "approve")
        events = stream.rest()
    refused = [event["result"] for event in events if event["type"] == "tool_call_response"][1]
    assert NO_TASKS in refused["output"]
    assert "tasks" not in local.session(session)


def test_a_task_goes_by_its_conversation_and_goes_on(local: LocalClient, model: OfflineServer) -> None:
    session = local.new_session()
    task = start(local, session, "[words 1][hold 1]")
    below = session_of(task)
    assert policy(local, below) == {"enabled": True}
    assert policy(local, below, False) == {"enabled": False}
    assert policy(local, session) == {"enabled": False}
    model.release()
    ended(local, task)
    assert local.messages(below)[-1]["content"]
    local.say(below, "[say two]", agent="team/helper")
    assert not offered(model) & DELEGATING
    policy(local, session, True)
    local.say(below, "[say three]", agent="team/helper")
    assert offered(model) & DELEGATING == {"transfer_task"}


@pytest.mark.parametrize("body", [{}, {"enabled": None}, {"enabled": "false"}, {"enabled": 1}, []])
def test_only_yes_and_no_are_policies(local: LocalClient, body: Any) -> None:
    session = local.new_session()
    path = f"/api/sessions/{session}/delegation-policy"
    assert local.call("PATCH", path, body, expect=422)["code"] == "invalid_request"
    assert policy(local, "nobody", False, expect=404)["code"] == "unknown_session"
    assert policy(local, "nobody", expect=404)["code"] == "unknown_session"


def test_a_stopped_conversation_stops_its_background_tasks_too_and_loses_nothing(
    local: LocalClient, model: OfflineServer
) -> None:
    session = local.new_session()
    tasks = [start(local, session, "[words 1][hold 1]") for _ in range(2)]
    with local.run(session, "[words 1][hold 1]", agent="team") as stream:
        stream.until("agent_choice")
        stop(local, session)
        assert stream.rest()[-1]["reason"] == "canceled"
    for task in tasks:
        ended(local, task)
        (run,) = local.call("GET", f"/api/runs?session={session_of(task)}")
        assert run["status"] == "cancelled"
    assert len(local.session(session)["tasks"]) == 2
    assert local.messages(session)[-1]["role"] == "assistant"
    stop(local, session)
    model.release()


def test_a_stopped_task_leaves_its_conversation_at_work(local: LocalClient, model: OfflineServer) -> None:
    session = local.new_session()
    first, second = (start(local, session, "[words 1][hold 1]") for _ in range(2))
    stop(local, session_of(first))
    ended(local, first)
    assert local.call("GET", f"/api/sessions/{session_of(second)}")["run"]["status"] == "running"
    model.release()
    ended(local, second)


def test_a_task_that_another_run_waits_for_is_that_runs_to_stop(local: LocalClient) -> None:
    session = local.new_session()
    with local.run(session, transfer(call_text("shell", cmd="true")), agent="team") as stream:
        stream.until("tool_call_confirmation")
        task = task_of(local, session)
        refused = stop(local, task, expect=409)
        assert refused["run"]["session_id"] == session
        stop(local, session)
    local.wait_until_free(session)
    stop(local, task)
    assert stop(local, "nobody", expect=404)["code"] == "unknown_session"
