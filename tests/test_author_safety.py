"""The safety policy that an agent's file has for new sessions: the first run takes it, unless somebody has chosen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import build
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient
from tests.harness.wire import Event
from tests.test_sequences import call_text, of_type

CALL = call_text("shell", cmd="echo ran") + "[then][say done]"
READS = call_text("list_directory", path=".") + "[then][say done]"
HELLO = "[say hello]"


def agent(**fields: Any) -> dict[str, Any]:
    tools = [{"type": "shell"}, {"type": "filesystem"}]
    return {"model": "anthropic/claude-sonnet-5-5", "instruction": "i", "toolsets": tools, **fields}


FILES: dict[str, dict[str, Any]] = {
    "own": {
        "agents": {"root": agent(safety="restricted"), "other": agent()},
        "runtime": {"safety": "strict"},
    },
    "plain": {"agents": {"root": agent()}},
    "wide": {
        "agents": {"root": agent(safety="autonomous")},
        "permissions": {"deny": ["list_directory"], "ask": ["read_file"]},
    },
    "boss": {
        "agents": {
            "root": agent(safety="strict", sub_agents=["helper"]),
            "helper": agent(safety="autonomous"),
        },
        "permissions": {"allow": ["transfer_task"]},
    },
}


@pytest.fixture
def local(tmp_path: Path, model: OfflineServer) -> Iterator[LocalClient]:
    files = tmp_path / "files"
    files.mkdir()
    for name, text in FILES.items():
        (files / f"{name}.yaml").write_text(json.dumps(text))
    server = build(make_settings(tmp_path, model.url, agents=files))
    yield LocalClient(server)
    server.close()


def policy_of(local: LocalClient, session: str) -> str:
    return str(local.session(session).get("safety_policy", ""))


def ran(events: list[Event]) -> list[str]:
    return [event["response"] for event in of_type(events, "tool_call_response")]


@pytest.mark.parametrize(
    ("path", "policy"),
    [("own", "restricted"), ("own/other", "strict"), ("plain", ""), ("wide", "autonomous")],
)
def test_the_first_run_takes_its_agents_policy_or_else_the_files(
    local: LocalClient, path: str, policy: str
) -> None:
    session = local.new_session()
    assert not of_type(local.say(session, HELLO, agent=path), "warning")
    assert policy_of(local, session) == policy
    assert local.session(session)["tools_approved"] is (policy == "autonomous")


def test_it_counts_from_the_first_call_on(local: LocalClient) -> None:
    (refusal,) = ran(local.say(local.new_session(), CALL, agent="own"))
    assert "safety policy lets only tools run that only read" in refusal
    assert ran(local.say(local.new_session(), CALL, agent="wide")) == ["ran"]


@pytest.mark.parametrize(
    "body", [{"safety_policy": "balanced"}, {"mode": "strict"}, {"tools_approved": True}]
)
def test_a_session_that_was_made_with_a_policy_keeps_it(local: LocalClient, body: dict[str, Any]) -> None:
    session = local.new_session(**body)
    before = policy_of(local, session)
    local.say(session, HELLO, agent="own")
    assert policy_of(local, session) == before != ""


def test_a_choice_before_the_first_run_counts(local: LocalClient) -> None:
    session = local.new_session()
    local.call("PATCH", f"/api/sessions/{session}/safety-policy", {"safety_policy": "strict"})
    local.say(session, HELLO, agent="wide")
    assert policy_of(local, session) == "strict"


def test_later_runs_and_other_agents_leave_the_policy_alone(local: LocalClient) -> None:
    session = local.new_session()
    for path, policy in (("plain", ""), ("wide", ""), ("own", "")):
        local.say(session, HELLO, agent=path)
        assert policy_of(local, session) == policy
    session = local.new_session()
    for path in ("own", "wide", "plain"):
        local.say(session, HELLO, agent=path)
        assert policy_of(local, session) == "restricted"
    local.call("PATCH", f"/api/sessions/{session}/safety-policy", {"safety_policy": ""})
    local.say(session, HELLO, agent="wide")
    assert policy_of(local, session) == ""


def test_it_lifts_no_denial(local: LocalClient) -> None:
    (refusal,) = ran(local.say(local.new_session(), READS, agent="wide"))
    assert "denied by permissions configuration" in refusal
    denies = local.new_session(permissions={"deny": ["shell"]})
    (refusal,) = ran(local.say(denies, CALL, agent="wide"))
    assert "denied by session permissions" in refusal


def test_in_a_task_the_policy_of_the_conversation_counts(local: LocalClient) -> None:
    session = local.new_session()
    task = call_text("transfer_task", agent="helper", task=CALL, expected_output="x")
    with local.run(session, f"{task}[then][say done]", agent="boss") as stream:
        stream.until("tool_call_confirmation")
        local.resume(session, "approve")
        stream.rest()
    assert policy_of(local, session) == "strict"
    assert "ran" in ran(stream.events)
