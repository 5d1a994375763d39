"""What chooses for a session's agent between its runs: its model, and how much that thinks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from tests.conftest import server_of, team_server
from tests.harness.in_process import LocalClient
from tests.test_fallback import asked
from tests.test_sequences import call_text

OWN, SMALL, STRONG = "claude-sonnet-5-5", "claude-haiku-4-5", "claude-opus-5-5"
TEAM = f"""
agents:
  boss: {{model: anthropic/{OWN}, sub_agents: [reader], handoffs: [thinker], toolsets: [{{type: shell}}]}}
  reader: {{model: small}}
  thinker: {{model: deep}}
  picker: {{model: anthropic/{OWN}, toolsets: [{{type: model_picker, models: [small]}}]}}
models:
  small: {{provider: anthropic, model: {SMALL}, max_tokens: 30000}}
  deep: {{provider: anthropic, model: {STRONG}, thinking_budget: high}}
  old: {{provider: anthropic, model: claude-sonnet-4-6, thinking_budget: xhigh}}
  tokens: {{provider: anthropic, model: {SMALL}, thinking_budget: 5000}}
  foreign: {{provider: openai, model: gpt-5}}
"""
ALL = ["none", "low", "medium", "high", "xhigh", "max"]


server = server_of(TEAM)


def begun(local: LocalClient, agent: str = "boss", **body: Any) -> str:
    """A session that has said whose it is."""
    session = local.new_session(**body)
    local.say(session, "[say one]", agent=f"team/{agent}")
    return session


def choose_model(local: LocalClient, session: str, model: Any, *, expect: int = 200) -> Any:
    return local.call("PATCH", f"/api/sessions/{session}/model", {"model": model}, expect=expect)


def level(local: LocalClient, session: str, *, expect: int = 200) -> Any:
    return local.call("GET", f"/api/sessions/{session}/thinking-level", expect=expect)


def set_level(local: LocalClient, session: str, value: Any, *, expect: int = 200) -> Any:
    return local.call("PATCH", f"/api/sessions/{session}/thinking-level", {"level": value}, expect=expect)


def cycle(local: LocalClient, session: str) -> Any:
    return local.call("POST", f"/api/sessions/{session}/thinking-level/cycle")


def thinking(model: OfflineServer) -> list[Any]:
    """What each request says of thinking: an effort, tokens, True for as much as the model likes, None."""
    said = []
    for request in model.requests:
        tokens = request.get("thinking", {}).get("budget_tokens")
        effort = request.get("output_config", {}).get("effort")
        said.append(tokens or effort or ("thinking" in request or None))
    return said


def test_a_chosen_model_is_asked_from_the_next_run_on(local: LocalClient, model: OfflineServer) -> None:
    session = begun(local)
    shown = choose_model(local, session, "small")
    assert (shown["session_id"], shown["agent_name"], shown["model"]) == (
        session,
        "boss",
        f"anthropic/{SMALL}",
    )
    assert shown["thinking_levels"] == ["none", "low", "medium", "high"]
    assert shown["thinking_level"] == "none"
    assert shown["capabilities"]["model_switching"] is True
    local.say(session, "[say two]", agent="team")
    assert choose_model(local, session, f"anthropic/{STRONG}")["model"] == f"anthropic/{STRONG}"
    local.say(session, "[say three]", agent="team")
    assert choose_model(local, session, "")["model"] == f"anthropic/{OWN}"
    local.say(session, "[say four]", agent="team")
    assert asked(model) == [OWN, SMALL, STRONG, OWN]
    stored = local.session(session)
    assert "agent_model_overrides" not in stored
    assert stored["custom_models_used"] == ["small", f"anthropic/{STRONG}"]


def test_a_run_at_work_goes_on_with_the_model_that_it_began_with(
    local: LocalClient, model: OfflineServer
) -> None:
    session = begun(local)
    with local.run(session, call_text("shell", cmd="true") + "[then][say x]", agent="team") as stream:
        stream.until("tool_call_confirmation")
        choose_model(local, session, "deep")
        set_level(local, session, "max")
        local.resume(session, "approve")
        stream.rest()
    local.say(session, "[say two]", agent="team")
    assert asked(model) == [OWN, OWN, OWN, STRONG]
    assert thinking(model) == [None, None, True, "max"], "that it thinks counts at once, how much does not"


def test_it_counts_more_than_what_a_run_or_the_agent_itself_has_chosen(
    local: LocalClient, model: OfflineServer
) -> None:
    session = begun(local, "picker")
    body = {"messages": [{"content": "[say two]"}], "model": f"anthropic/{STRONG}"}
    local.ask("POST", f"/api/sessions/{session}/agent/team/picker", body).get_data()
    choose_model(local, session, "old")
    local.say(session, "[say three]", agent="team/picker")
    local.say(session, call_text("change_model", model="small") + "[then][say four]", agent="team/picker")
    local.say(session, call_text("revert_model") + "[then][say five]", agent="team/picker")
    local.say(session, call_text("change_model", model="small") + "[then][say six]", agent="team/picker")
    choose_model(local, session, f"anthropic/{STRONG}")
    local.say(session, "[say seven]", agent="team/picker")
    old = "claude-sonnet-4-6"
    assert asked(model) == [OWN, STRONG, old, old, SMALL, SMALL, old, old, SMALL, STRONG]


@pytest.mark.parametrize(
    "name", ["openai/gpt-5", "foreign", "nothing", "anthropic/", 5, None, "a\0b", "x" * 212]
)
def test_a_model_that_can_not_be_had_is_refused_and_nothing_changes(local: LocalClient, name: Any) -> None:
    session = begun(local)
    assert choose_model(local, session, name, expect=422)["code"] == "invalid_request"
    assert "agent_model_overrides" not in local.session(session)
    assert local.call("PATCH", f"/api/sessions/{session}/model", {}, expect=422)["code"] == "invalid_request"


def test_a_model_whose_cost_a_budget_could_not_count_is_refused(tmp_path: Path, model: OfflineServer) -> None:
    with team_server(tmp_path, model.url, TEAM) as built:
        local = LocalClient(built)
        session = begun(local)
        local.call("PATCH", f"/api/sessions/{session}/budget", {"budget": 5})
        refused = choose_model(local, session, "anthropic/claude-mythos-5-2", expect=422)
        assert refused["code"] == "unpriced_model"
        choose_model(local, session, "small")


@pytest.mark.parametrize("path", ["model", "thinking-level", "thinking-level/cycle"])
def test_before_the_first_run_nobody_knows_the_agent(local: LocalClient, path: str) -> None:
    method = "POST" if path.endswith("cycle") else "PATCH"
    address = f"/api/sessions/{{}}/{path}"
    body = {"model": "small", "level": "low"}
    refused = local.call(method, address.format(local.new_session()), body, expect=404)
    assert refused["code"] == "unknown_run"
    assert local.call(method, address.format("nobody"), body, expect=404)["code"] == "unknown_session"


def test_a_level_counts_from_the_next_run_on_and_none_switches_thinking_off(
    local: LocalClient, model: OfflineServer
) -> None:
    session = begun(local)
    shown = level(local, session)
    assert (shown["levels"], shown["current"]) == (ALL, "none")
    assert shown["metadata"]["thinking_levels"] == ALL
    assert shown["metadata"]["capabilities"]["thinking_levels"] is True
    for value in ("high", "max", "none", "low"):
        shown = set_level(local, session, value)
        assert (shown["current"], shown["metadata"]["thinking_level"]) == (value, value)
        assert level(local, session) == shown
        local.say(session, f"[say {value}]", agent="team")
    assert thinking(model) == [None, "high", "max", None, "low"]


def test_the_levels_are_gone_through_in_their_order(local: LocalClient) -> None:
    session = begun(local)
    assert [cycle(local, session)["current"] for _ in range(7)] == [*ALL[1:], "none", "low"]


def test_a_model_that_takes_tokens_is_given_some(local: LocalClient, model: OfflineServer) -> None:
    session = begun(local, "reader")
    assert level(local, session)["levels"] == ALL[:4]
    assert set_level(local, session, "max", expect=422)["code"] == "invalid_request"
    for value in ("low", "medium", "high"):
        assert set_level(local, session, value)["current"] == value
        local.say(session, f"[say {value}]", agent="team/reader")
    assert cycle(local, session)["current"] == "none"
    local.say(session, "[say none]", agent="team/reader")
    assert thinking(model) == [None, 2048, 8192, 16384, None]


@pytest.mark.parametrize(
    ("name", "current", "following"),
    [("deep", "high", "xhigh"), ("old", "max", "none"), ("tokens", None, "low")],
)
def test_what_an_agent_file_says_is_a_level_too(
    local: LocalClient, name: str, current: str | None, following: str
) -> None:
    session = begun(local, "thinker")
    assert level(local, session)["current"] == "high", "as its first run has begun"
    choose_model(local, session, name)
    assert level(local, session).get("current") == current
    assert cycle(local, session)["current"] == following


def test_a_switched_off_thinking_is_no_level_and_a_level_switches_it_on(
    local: LocalClient, model: OfflineServer
) -> None:
    session = begun(local, "thinker")
    local.call("POST", f"/api/sessions/{session}/thinking/toggle")
    assert level(local, session)["current"] == "none"
    local.say(session, "[say two]", agent="team/thinker")
    assert set_level(local, session, "low")["current"] == "low"
    local.say(session, "[say three]", agent="team/thinker")
    assert thinking(model) == ["high", None, "low"]
    assert local.session(session)["thinking"] is True


def test_another_model_begins_with_its_own_thinking(local: LocalClient, model: OfflineServer) -> None:
    session = begun(local)
    set_level(local, session, "max")
    assert choose_model(local, session, "deep")["thinking_level"] == "high"
    local.say(session, "[say two]", agent="team")
    assert thinking(model) == [None, "high"]


def test_a_level_is_the_agents_own_and_goes_with_copies(local: LocalClient, model: OfflineServer) -> None:
    session = begun(local, tools_approved=True)
    local.say(session, call_text("handoff", agent="thinker") + "[then][say mine]", agent="team")
    shown = set_level(local, session, "low")
    assert shown["metadata"]["agent_name"] == "thinker"
    before = len(model.requests)
    local.say(session, "[say two]", agent="team")
    local.say(session, "[say three]", agent="team/boss")
    copy = local.call("POST", f"/api/sessions/{session}/fork", {})["id"]
    local.say(copy, "[say four]", agent="team")
    assert asked(model)[before:] == [STRONG, OWN, STRONG]
    assert thinking(model)[before:] == ["low", True, "low"]


@pytest.mark.parametrize("value", ["minimal", "adaptive", "", "High", 5, None, "xhigh\0"])
def test_no_other_words_are_levels(local: LocalClient, value: Any) -> None:
    session = begun(local)
    assert set_level(local, session, value, expect=422)["code"] == "invalid_request"
    assert level(local, session)["current"] == "none"
