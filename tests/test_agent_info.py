"""What a client can see of a session's agent and of what its tools may, without a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.web.session_agent import ROUTES
from tests.conftest import server_of
from tests.harness.in_process import LocalClient
from tests.harness.wire import Event

OWN, SMALL = "claude-sonnet-5-5", "claude-haiku-4-5"
TEAM = f"""
agents:
  boss:
    model: anthropic/{OWN}
    description: Gives work away
    welcome_message: Hello
    commands: {{tidy: Tidy up.}}
  reader: {{model: anthropic/{SMALL}, description: Reads}}
permissions: {{allow: ["read_*"], deny: ["shell:cmd=sudo*"]}}
"""


server = server_of(TEAM)


def look(local: LocalClient, session: str, what: str, *, expect: int = 200) -> Any:
    return local.call("GET", f"/api/sessions/{session}/{what}", expect=expect)


def first_of(events: list[Event], kind: str) -> Event:
    return next(event for event in events if event["type"] == kind)


def untimed(event: Event) -> dict[str, Any]:
    return {key: value for key, value in event.items() if key not in ("timestamp", "session_id")}


def test_the_agent_is_shown_as_the_next_run_tells_it(local: LocalClient) -> None:
    session = local.new_session()
    local.say(session, "[say one]", agent="team")
    for change in ({}, {"model": f"anthropic/{SMALL}"}):
        if change:
            local.call("PATCH", f"/api/sessions/{session}/model", change)
            local.call("PATCH", f"/api/sessions/{session}/thinking-level", {"level": "low"})
        body = look(local, session, "agent-info")
        events = local.say(session, "[say two]", agent="team")
        assert untimed(body["agent"]) == untimed(first_of(events, "agent_info"))
        assert untimed(body["team"]) == untimed(first_of(events, "team_info"))
        assert body["commands"] == {"tidy": {"instruction": "Tidy up."}}
    shown = {member["name"]: member for member in body["team"]["available_agents"]}
    assert (shown["boss"]["model"], shown["boss"]["thinking"]) == (SMALL, "2048")
    assert body["agent"]["model"] == f"anthropic/{SMALL}"


def test_an_agent_without_commands_has_none(local: LocalClient) -> None:
    session = local.new_session()
    local.say(session, "[say one]", agent="team/reader")
    body = look(local, session, "agent-info")
    assert (body["agent"]["agent_name"], body["team"]["current_agent"]) == ("reader", "reader")
    assert "commands" not in body


def test_permissions_of_the_file_and_of_the_session_stand_side_by_side(local: LocalClient) -> None:
    session = local.new_session()
    local.say(session, "[say one]", agent="team")
    source = {"Allow": ["read_*"], "Ask": [], "Deny": ["shell:cmd=sudo*"]}
    assert look(local, session, "permissions") == {"policy": "", "tools_approved": False, "source": source}
    own = {"ask": ["fetch"]}
    path = f"/api/sessions/{session}"
    local.call("PATCH", f"{path}/permissions", {"permissions": own})
    local.call("PATCH", f"{path}/safety-policy", {"safety_policy": "balanced"})
    assert look(local, session, "permissions") == {
        "policy": "balanced",
        "tools_approved": False,
        "source": source,
        "session": own,
    }
    local.call("POST", f"{path}/tools/toggle")
    shown = look(local, session, "permissions")
    assert (shown["policy"], shown["tools_approved"]) == ("autonomous", True)


def test_a_file_without_permissions_is_no_source(local: LocalClient, tmp_path: Path) -> None:
    session = local.new_session()
    local.say(session, "[say one]", agent="team")
    (tmp_path / "team.yaml").write_text(f"agents: {{boss: {{model: anthropic/{OWN}}}}}")
    assert look(local, session, "permissions") == {"policy": "", "tools_approved": False}


@pytest.mark.parametrize("what", ["permissions", "agent-info"])
def test_before_the_first_run_nobody_knows_the_agent(local: LocalClient, what: str) -> None:
    assert look(local, local.new_session(), what, expect=404)["code"] == "unknown_run"
    assert look(local, "nobody", what, expect=404)["code"] == "unknown_session"


def test_each_capability_is_a_route_that_there_is(local: LocalClient) -> None:
    session = local.new_session()
    local.say(session, "[say one]", agent="team")
    can = local.call("PATCH", f"/api/sessions/{session}/model", {"model": ""})["capabilities"]
    assert can == dict.fromkeys(ROUTES, True)
    at = "/api/sessions/<session:session_id>"
    rules = local.server.app.url_map.iter_rules()
    there = {(method, rule.rule) for rule in rules for method in rule.methods or ()}
    assert {(method, at + path) for method, path in ROUTES.values()} <= there
