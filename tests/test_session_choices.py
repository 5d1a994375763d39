"""What a session's maker can choose for it: its title or none, and the models of its agents."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from app.runtime.titles import MAX_TOKENS
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient
from tests.harness.process import eventually
from tests.harness.wire import Event

OWN, SMALL, STRONG = "claude-sonnet-5-5", "claude-haiku-4-5", "claude-opus-5-5"
TEAM = f"""
agents:
  boss:
    model: anthropic/{OWN}
    description: Gives work away
    sub_agents: [reader]
    commands: {{tidy: Tidy up., ask: {{description: Ask them}}}}
  reader: {{model: anthropic/{OWN}, commands: {{not: me}}}}
models:
  small: {{provider: anthropic, model: {SMALL}, max_tokens: 5000}}
"""
TASK = '[call transfer_task {"agent": "reader", "task": "[say read]", "expected_output": ""}][then][say done]'


@pytest.fixture
def server(tmp_path: Path, model: OfflineServer) -> Iterator[Server]:
    (tmp_path / "team.yaml").write_text(TEAM)
    built = build(make_settings(tmp_path, model.url, agents=tmp_path / "team.yaml", titles=True))
    yield built
    built.close()


def of_type(events: list[Event], kind: str) -> list[Event]:
    return [event for event in events if event["type"] == kind]


def asked(model: OfflineServer) -> list[str]:
    """The models that the runs' agents asked."""
    return [request["model"] for request in model.requests if request.get("max_tokens") != MAX_TOKENS]


@pytest.mark.parametrize(
    ("body", "made"),
    [
        ({}, 1),
        ({"title": " "}, 1),
        ({"title": " Plans "}, 0),
        ({"disable_title": True}, 0),
        ({"disable_title": False}, 1),
    ],
)
def test_a_session_with_a_title_or_that_is_to_have_none_gets_none_from_the_model(
    local: LocalClient, model: OfflineServer, body: dict[str, Any], made: int
) -> None:
    shown = local.call("POST", "/api/sessions", body)
    assert shown["title"] == body.get("title", "").strip()
    assert shown.get("disable_title", False) is body.get("disable_title", False)
    local.say(shown["id"], "[say hello]", agent="team")
    eventually(lambda: not local.server.titles.under_way, "its title is made")
    assert sum(request.get("max_tokens") == MAX_TOKENS for request in model.requests) == made
    assert (local.session(shown["id"])["title"] != shown["title"]) is bool(made)


@pytest.mark.parametrize(
    ("overrides", "models"),
    [
        ({"boss": f"anthropic/{STRONG}"}, [STRONG, OWN, STRONG]),
        ({"root": "small"}, [SMALL, OWN, SMALL]),
        ({"reader": "small"}, [OWN, SMALL, OWN]),
        ({"boss": "small", "reader": f"anthropic/{STRONG}", "nobody": "small"}, [SMALL, STRONG, SMALL]),
    ],
)
def test_agents_ask_the_models_that_were_chosen_for_them(
    local: LocalClient, model: OfflineServer, overrides: dict[str, str], models: list[str]
) -> None:
    session = local.new_session(agent_model_overrides=overrides, disable_title=True, tools_approved=True)
    events = local.say(session, TASK, agent="team")
    assert asked(model) == models
    assert not of_type(events, "warning")
    assert local.session(session)["agent_model_overrides"] == overrides


def test_a_model_that_a_run_chooses_counts_more(local: LocalClient, model: OfflineServer) -> None:
    session = local.new_session(agent_model_overrides={"boss": "small"}, disable_title=True)
    body = {"messages": [{"content": "[say one]"}], "model": f"anthropic/{STRONG}"}
    local.ask("POST", f"/api/sessions/{session}/agent/team", body).get_data()
    local.ask("POST", f"/api/sessions/{session}/agent/team", {**body, "model": "default"}).get_data()
    assert asked(model) == [STRONG, SMALL]


@pytest.mark.parametrize("reference", ["openai/gpt-5", "nothing", "anthropic/"])
def test_a_model_that_can_not_be_had_is_said_and_breaks_no_run(
    local: LocalClient, model: OfflineServer, reference: str
) -> None:
    session = local.new_session(agent_model_overrides={"boss": reference}, disable_title=True)
    events = local.say(session, "[say one]", agent="team")
    assert asked(model) == [OWN]
    [warning] = of_type(events, "warning")
    assert "goes on by its own model" in warning["message"]


def test_the_choices_go_with_a_copy_and_an_export(local: LocalClient) -> None:
    chosen = {
        "agent_model_overrides": {"boss": "small"},
        "custom_models_used": ["anthropic/claude-opus-5-5"],
        "disable_title": True,
        "safety_policy": "balanced",
        "title": "Plans",
    }
    session = local.new_session(**chosen)
    copy = local.call("POST", f"/api/sessions/{session}/fork", {})
    again = local.call("POST", "/api/sessions/import", local.session(session))
    for shown, title in ((local.session(session), "Plans"), (copy, "Plans (fork 1)"), (again, "Plans")):
        assert {key: shown[key] for key in chosen} == {**chosen, "title": title}


@pytest.mark.parametrize(
    "body",
    [
        {"title": 5},
        {"disable_title": "no"},
        {"agent_model_overrides": {"boss": 5}},
        {"agent_model_overrides": {"boss": ""}},
        {"agent_model_overrides": {f"a{n}": "small" for n in range(101)}},
        {"agent_model_overrides": {"boss": "x" * 212}},
        {"custom_models_used": "small"},
        {"custom_models_used": [None]},
    ],
)
def test_a_choice_of_another_shape_is_refused(local: LocalClient, body: dict[str, Any]) -> None:
    assert local.call("POST", "/api/sessions", body, expect=422)["code"] == "invalid_request"


def test_the_list_of_agent_files_names_the_first_agents_commands(local: LocalClient) -> None:
    assert local.call("GET", "/api/agents") == [
        {"name": "team", "description": "Gives work away", "multi": True, "commands": ["ask", "tidy"]}
    ]
