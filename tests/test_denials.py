"""A `deny` counts whatever was approved, for the session, its tasks and its background agents."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient
from tests.harness.process import ROOT
from tests.harness.wire import Event
from tests.test_sequences import call_text, of_type

MODEL = "anthropic/claude-sonnet-5-5"
TEAM = {
    "agents": {
        "root": {"model": MODEL, "sub_agents": ["helper"], "toolsets": [{"type": "shell"}]},
        "helper": {"model": MODEL, "toolsets": [{"type": "shell"}]},
    },
    "permissions": {"deny": ["shell:cmd=*sudo*"]},
}
FINE = call_text("shell", cmd="echo fine")
DENIED = call_text("shell", cmd="echo sudo")


def make_server(tmp_path: Path, model: OfflineServer, *, deny_wins: bool = True) -> Server:
    (tmp_path / "team.yaml").write_text(json.dumps(TEAM))
    return build(make_settings(tmp_path, model.url, agents=tmp_path / "team.yaml", deny_wins=deny_wins))


@pytest.fixture
def local(tmp_path: Path, model: OfflineServer) -> Iterator[LocalClient]:
    server = make_server(tmp_path, model)
    yield LocalClient(server)
    server.close()


def outputs(events: list[Event]) -> list[str]:
    return [event["response"] for event in of_type(events, "tool_call_response")]


def is_refused(output: str) -> bool:
    return "is denied by" in output


def ran(output: str) -> bool:
    return "sudo" in output and not is_refused(output)


def test_a_session_that_runs_tools_without_asking_runs_no_denied_one(local: LocalClient) -> None:
    session = local.new_session(tools_approved=True)
    fine, denied = outputs(local.say(session, f"{FINE}{DENIED}[then][say done]", agent="team"))
    assert "fine" in fine
    assert is_refused(denied)


@pytest.mark.parametrize("answer", ["approve", "approve-session", "approve-tool"])
def test_no_answer_to_another_call_lifts_a_denial(local: LocalClient, answer: str) -> None:
    session = local.new_session()
    with local.run(session, f"{FINE}{DENIED}[then][say done]", agent="team") as stream:
        stream.until("tool_call_confirmation")
        local.resume(session, answer)
        fine, denied = outputs(stream.rest())
    assert "fine" in fine
    assert is_refused(denied)


@pytest.mark.parametrize("pattern", ["*", "shell", "shell:cmd=echo sudo"])
def test_no_pattern_of_the_session_lifts_a_denial(local: LocalClient, pattern: str) -> None:
    session = local.new_session(permissions={"allow": [pattern]})
    [denied] = outputs(local.say(session, f"{DENIED}[then][say done]", agent="team"))
    assert is_refused(denied)


def test_a_denial_that_comes_with_a_message_of_approval_holds(local: LocalClient) -> None:
    session = local.new_session(tools_approved=True, permissions={"deny": ["shell:cmd=*fine*"]})
    [denied] = outputs(local.say(session, f"{FINE}[then][say done]", agent="team"))
    assert is_refused(denied)


def test_a_denial_holds_in_a_task_of_another_agent(local: LocalClient) -> None:
    session = local.new_session(tools_approved=True)
    task = call_text("transfer_task", agent="helper", task=f"{DENIED}[then][say done]", expected_output="")
    answers = outputs(local.say(session, f"{task}[then][say done]", agent="team"))
    assert is_refused(answers[0])


def test_docker_agents_order_can_be_had(tmp_path: Path, model: OfflineServer) -> None:
    server = make_server(tmp_path, model, deny_wins=False)
    try:
        local = LocalClient(server)
        session = local.new_session(tools_approved=True)
        [output] = outputs(local.say(session, f"{DENIED}[then][say done]", agent="team"))
        assert ran(output)
        [output] = outputs(local.say(local.new_session(), f"{DENIED}[then][say done]", agent="team"))
        assert is_refused(output)
    finally:
        server.close()


@pytest.mark.parametrize("which", ["allow", "ask", "deny"])
def test_a_pattern_that_cant_be_parsed_is_refused_where_it_is_set(local: LocalClient, which: str) -> None:
    """It would deny nothing, unseen."""
    broken = {which: ["shell", "shell:cmd=["]}
    made = local.ask("POST", "/api/sessions", {"permissions": broken})
    assert (made.status_code, f"permissions.{which}.1" in made.get_json()["message"]) == (422, True)
    session = local.new_session()
    body = {"permissions": broken}
    assert local.ask("PATCH", f"/api/sessions/{session}/permissions", body).status_code == 422


def test_a_hook_cannot_change_a_call_into_a_denied_one(tmp_path: Path, model: OfflineServer) -> None:
    change = """echo '{"hook_specific_output": {"updated_input": {"cmd": "echo sudo"}}}'"""
    gate = {"pre_tool_use": [{"hooks": [{"type": "command", "command": change}]}]}
    agent = {"model": MODEL, "toolsets": [{"type": "shell"}], "hooks": gate}
    (tmp_path / "team.yaml").write_text(json.dumps({**TEAM, "agents": {"root": agent}}))
    server = build(make_settings(tmp_path, model.url, agents=tmp_path / "team.yaml"))
    try:
        local = LocalClient(server)
        session = local.new_session(tools_approved=True)
        [denied] = outputs(local.say(session, f"{FINE}[then][say done]", agent="team"))
        assert is_refused(denied)
    finally:
        server.close()


@pytest.mark.parametrize("tool", ["shell", "run_background_job"])
@pytest.mark.parametrize("command", ["echo sudo x", "git push", "echo rm -rf /tmp"])
def test_the_delivered_programmer_runs_no_denied_command_by_any_tool(
    tmp_path: Path, model: OfflineServer, tool: str, command: str
) -> None:
    server = build(make_settings(tmp_path, model.url, agents=ROOT / "agents"))
    local = LocalClient(server)
    session = local.new_session(tools_approved=True)
    [denied] = outputs(local.say(session, f"{call_text(tool, cmd=command)}[then][say done]", agent="coder"))
    server.close()
    assert is_refused(denied)
