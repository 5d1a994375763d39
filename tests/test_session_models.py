"""What a client is shown to choose a session's model from, and all of a session for whoever has to save it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.conftest import server_of
from tests.harness.in_process import LocalClient

OWN, SMALL, STRONG = "claude-sonnet-5-5", "claude-haiku-4-5", "claude-opus-5-5"
TEAM = f"""
agents:
  boss: {{model: anthropic/{OWN}, handoffs: [reader]}}
  reader: {{model: small}}
models:
  small: {{provider: anthropic, model: {SMALL}, max_tokens: 5000}}
  mix: {{model: "small,anthropic/{STRONG}"}}
  foreign: {{provider: openai, model: gpt-5}}
"""


server = server_of(TEAM)


def models(client: LocalClient, session: str, *, expect: int = 200) -> Any:
    return client.call("GET", f"/api/sessions/{session}/models", expect=expect)


def refs(body: dict[str, Any], mark: str = "") -> list[str]:
    return [choice["ref"] for choice in body["models"] if not mark or choice.get(mark)]


def test_an_agent_is_shown_with_its_own_model_and_the_others_of_its_file(local: LocalClient) -> None:
    session = local.new_session()
    local.say(session, "[say one]", agent="team")
    body = models(local, session)
    assert (body["agent"], body.get("current_model_ref")) == ("boss", None)
    assert refs(body) == [f"anthropic/{OWN}", "small", "mix"]
    assert refs(body, "is_default") == refs(body, "is_current") == [f"anthropic/{OWN}"]
    own, small, mix = body["models"]
    assert own == {
        "name": f"anthropic/{OWN}",
        "ref": f"anthropic/{OWN}",
        "provider": "anthropic",
        "model": OWN,
        "is_default": True,
        "is_current": True,
        "input_cost": 2,
        "output_cost": 10,
        "cache_read_cost": 0.2,
        "cache_write_cost": 2.5,
        "context_limit": 1_000_000,
        "output_limit": 128_000,
    }
    assert (small["name"], small["model"]) == ("small", SMALL)
    assert mix == {"name": "mix", "ref": "mix"}


def test_a_model_that_was_chosen_is_the_current_one(local: LocalClient) -> None:
    session = local.new_session(
        agent_model_overrides={"boss": "small"}, custom_models_used=[f"anthropic/{STRONG}", "small"]
    )
    local.say(session, "[say one]", agent="team")
    body = models(local, session)
    assert body["current_model_ref"] == "small"
    assert refs(body, "is_current") == ["small"]
    assert refs(body) == [f"anthropic/{OWN}", "small", "mix", f"anthropic/{STRONG}"]
    assert refs(body, "is_custom") == [f"anthropic/{STRONG}"]
    chosen = {"messages": [{"content": "[say two]"}], "model": "anthropic/claude-opus-4-5"}
    local.ask("POST", f"/api/sessions/{session}/agent/team", chosen).get_data()
    body = models(local, session)
    assert body["current_model_ref"] == "anthropic/claude-opus-4-5"
    assert refs(body, "is_current") == ["anthropic/claude-opus-4-5"]
    assert refs(body, "is_custom") == [f"anthropic/{STRONG}", "anthropic/claude-opus-4-5"]
    local.ask("POST", f"/api/sessions/{session}/agent/team", {**chosen, "model": "default"}).get_data()
    body = models(local, session)
    assert refs(body, "is_current") == ["small"]
    assert "anthropic/claude-opus-4-5" in refs(body, "is_custom"), "it can be chosen again"


def test_the_agent_that_has_the_conversation_counts(local: LocalClient) -> None:
    session = local.new_session(tools_approved=True)
    local.say(session, '[call handoff {"agent": "reader"}][then][say mine]', agent="team")
    body = models(local, session)
    assert body["agent"] == "reader"
    assert refs(body, "is_default") == refs(body, "is_current") == ["small"]


def test_a_handoff_that_is_taken_back_leaves_the_conversation_where_it_was(local: LocalClient) -> None:
    session = local.new_session(tools_approved=True)
    local.say(session, '[call handoff {"agent": "reader"}][then][say mine]', agent="team")
    local.call("POST", f"/api/sessions/{session}/undo")
    assert models(local, session)["agent"] == "boss"
    for what in ("status", "snapshot"):
        assert local.call("GET", f"/api/sessions/{session}/{what}")["agent"] == ""


def test_before_the_first_run_nobody_knows_the_agent(local: LocalClient) -> None:
    refused = models(local, local.new_session(), expect=404)
    assert (refused["code"], refused["message"]) == ("unknown_run", "session not found or not running")
    assert models(local, "nobody", expect=404)["code"] == "unknown_session"


def test_an_agent_file_that_is_gone_is_said(local: LocalClient, tmp_path: Path) -> None:
    session = local.new_session()
    local.say(session, "[say one]", agent="team")
    (tmp_path / "team.yaml").unlink()
    assert models(local, session, expect=404)["code"] == "unknown_agent"


def test_a_session_can_be_made_anew_from_its_recovery(local: LocalClient) -> None:
    session = local.new_session(permissions={"deny": ["x"]}, title="Plans", safety_policy="strict")
    local.say(session, "[say one]", agent="team")
    body = local.call("GET", f"/api/sessions/{session}/recovery")
    assert (body["id"], body["title"], body["permissions"]) == (session, "Plans", {"deny": ["x"]})
    assert body["messages"] == local.session(session)["messages"]
    again = local.call("POST", "/api/sessions/import", body)["id"]
    assert [m["content"] for m in local.messages(again)] == ["[say one]", "one"]
    assert local.session(again)["safety_policy"] == "strict"


def test_a_recovery_has_all_its_keys_from_the_beginning(local: LocalClient) -> None:
    session = local.new_session()
    body = local.call("GET", f"/api/sessions/{session}/recovery")
    assert (body["messages"], body["permissions"], body["tools_approved"]) == ([], None, False)
    assert body.keys() >= {"id", "title", "created_at", "input_tokens", "output_tokens", "working_dir"}
    assert local.call("GET", "/api/sessions/nobody/recovery", expect=404)["code"] == "unknown_session"
