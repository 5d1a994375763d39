"""Sessions of delegated tasks: the run that gave a task away holds them too, whoever knows their ids."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import build
from app.settings import Settings
from tests.harness.gate import Gate
from tests.harness.in_process import LocalClient, LocalStream
from tests.while_it_runs.conftest import Servers
from tests.while_it_runs.talk import body, roles

TEAM = """
agents:
  root: {model: m, description: Leads, sub_agents: [helper]}
  helper: {model: m, description: Helps, toolsets: [{type: shell}]}
models: {m: {provider: anthropic, model: claude-sonnet-5-5}}
"""


@pytest.fixture(scope="module")
def servers(settings: Settings, directory: Path, stand_in: OfflineServer) -> Iterator[Servers]:
    (directory / "team.yaml").write_text(TEAM)
    wanted = replace(settings, agents=directory / "team.yaml")
    first, second = build(wanted), build(wanted)
    yield first, second
    first.close()
    second.close()


def test_a_helpers_call_runs_with_the_arguments_that_a_person_changed(
    here: LocalClient, there: LocalClient
) -> None:
    session = here.new_session(permissions={"deny": ["shell:cmd=*evil*"]})
    with here.run(
        session, task('[call shell {"cmd": "echo own"}][then][say helped]'), agent="team"
    ) as stream:
        call = stream.until("tool_call_confirmation")["tool_call"]["id"]
        evil = {"call_id": call, "arguments": {"cmd": "echo evil"}}
        assert there.resume(session, "approve", evil, expect=403)["code"] == "call_denied"
        there.resume(session, "approve", {"call_id": call, "arguments": {"cmd": "echo changed"}})
        events = stream.rest()
    told = [event["response"] for event in events if event["type"] == "tool_call_response"]
    assert told[0].endswith("\n\nchanged")
    assert told[0].startswith("A person changed")


def test_a_runs_timeline_has_the_steps_of_its_task(here: LocalClient, there: LocalClient) -> None:
    session = here.new_session(tools_approved=True)
    with here.run(
        session, task('[call shell {"cmd": "echo own"}][then][say helped]'), agent="team"
    ) as stream:
        child = task_of(stream)
        stream.rest()
    [run] = here.call("GET", f"/api/runs?session={session}")
    steps = there.call("GET", f"/api/runs/{run['id']}/timeline")["steps"]
    told = [
        (step["kind"], step.get("tool", ""), step["session_id"]) for step in steps if step["kind"] != "event"
    ]
    assert told == [
        ("model", "", session),
        ("tool", "transfer_task", session),
        ("model", "", child),
        ("tool", "shell", child),
        ("model", "", child),
        ("model", "", session),
    ]
    assert not any(step.get("estimated") for step in steps)
    request = there.call("GET", f"/api/runs/{run['id']}/request?session={child}")["request"]
    assert "own" in str(request["messages"])


def task(text: str) -> str:
    arguments = json.dumps({"agent": "helper", "task": text, "expected_output": ""})
    return f"[call transfer_task {arguments}][then][say done]"


def task_of(stream: LocalStream) -> str:
    """The session of the task, as the events have told it by now."""
    while len(started := [event for event in stream.events if event["type"] == "stream_started"]) < 2:
        stream.until("stream_started")
    return str(started[1]["session_id"])


WRITERS: list[tuple[str, str, Any]] = [
    ("POST", "/agent/team/helper", body("me too")),
    ("POST", "/agent/team/helper?when_busy=wait&wait_timeout=0", body("me too")),
    ("POST", "/messages", {"message": {"role": "user", "content": "me too"}}),
    ("PATCH", "/messages/0", {"message": {"role": "user", "content": "another task"}}),
    ("POST", "/summaries", {"summary": "Nothing was done."}),
    ("POST", "/undo", {}),
    ("POST", "/pause", None),
    ("POST", "/branches", {}),
    ("POST", "/switch-agent", {"agent_name": "root"}),
    ("POST", "/stop-subtree", None),
    ("DELETE", "", None),
]


def test_while_its_giver_is_at_work_nobody_else_gets_at_a_task(
    here: LocalClient, there: LocalClient, gate: Gate
) -> None:
    session = here.new_session(tools_approved=True)
    with here.run(session, task(f"{gate.call}[then][say found]"), agent="team") as stream:
        gate.wait_until_reached()
        child = task_of(stream)
        for client in (here, there):
            for method, path, sent in WRITERS:
                refused = client.call(method, f"/api/sessions/{child}{path}", sent, expect=409)
                assert refused["code"] == "session_busy", path
                assert refused["run"]["session_id"] == session
        batch = there.call("POST", "/api/sessions/batch/delete", {"session_ids": [child]})
        gate.open("the result")
        events = stream.rest()
    assert batch["failed_ids"] == [child]
    assert [event["response"] for event in events if event["type"] == "tool_call_response"] == [
        *("the result", "found")
    ]
    assert roles(here, child) == ["user", "assistant", "tool", "assistant"]
    assert roles(here, session) == ["user", "assistant", "tool", "assistant"]


def test_after_that_a_task_can_be_talked_to_and_deleted(here: LocalClient) -> None:
    session = here.new_session(tools_approved=True)
    with here.run(session, task("[say found]"), agent="team") as stream:
        child = task_of(stream)
        stream.rest()
    here.say(child, "[say what else?]", agent="team/helper")
    assert roles(here, child) == ["user", "assistant"] * 2
    here.say(session, "[say more]", agent="team")
    here.call("DELETE", f"/api/sessions/{child}")
    here.call("GET", f"/api/sessions/{child}", expect=404)
    here.say(session, "[say still fine]", agent="team")


def test_a_pause_holds_up_the_task_and_is_shown_in_the_tree(
    here: LocalClient, there: LocalClient, gate: Gate
) -> None:
    session = here.new_session(tools_approved=True)
    with here.run(session, task(f"{gate.call}[then][say found]"), agent="team") as stream:
        gate.wait_until_reached()
        child = task_of(stream)
        assert there.call("POST", f"/api/sessions/{session}/pause") == {"paused": True}
        gate.open("the result")
        assert stream.until("runtime_paused")["agent_name"] == "helper"
        for client, asked in itertools.product((here, there), (session, child)):
            node = client.call("GET", f"/api/sessions/{asked}/tree")["nodes"][0]["node"]
            assert (node["state"], node["needs_attention"]) == ("running", False), asked
            assert client.call("GET", f"/api/sessions/{asked}/live-sessions")[0]["session_id"] == asked
        assert there.call("POST", f"/api/sessions/{child}/pause", expect=409)["run"]["session_id"] == session
        assert there.call("POST", f"/api/sessions/{session}/pause") == {"paused": False}
        assert stream.rest()[-1]["reason"] == "normal"
    assert roles(here, child) == ["user", "assistant", "tool", "assistant"]
    assert here.call("POST", f"/api/sessions/{child}/pause") == {"paused": True}, "it is its own now"
