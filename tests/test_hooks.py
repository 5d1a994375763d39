"""Hooks of an agent's file in a run: the things that they may forbid and change, and the events that readers see."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient
from tests.harness.process import eventually
from tests.harness.wire import Event, text_of
from tests.test_sequences import (
    CALLED,
    END,
    PROMPT,
    RAN,
    REFUSED,
    SAID,
    SHELL,
    TOOLS,
    TOOLS_LISTING,
    at_rest,
    call_text,
    of_type,
    roles,
    shape,
)

GUARD = """
case "$(cat)" in
    *forbidden*) echo "not that one" >&2; exit 2 ;;
    *careful*) echo '{"system_message": "be careful"}' ;;
    *rewrite*) echo '{"hook_specific_output": {"updated_input": {"cmd": "echo rewritten"}}}' ;;
esac
"""
SAYS = """echo '{"system_message": "%s"}'"""


def command(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "command", "command": text, **more}


@pytest.fixture
def hooks() -> dict[str, Any]:
    return {"pre_tool_use": [{"matcher": "shell|think", "hooks": [command(GUARD)]}]}


def built(tmp_path: Path, model: OfflineServer, hooks: dict[str, Any], **more: Any) -> Server:
    agent = {
        "model": "anthropic/claude-sonnet-5-5",
        "toolsets": [{"type": kind} for kind in ("shell", "think", "user_prompt")],
        "hooks": hooks,
        **more,
    }
    (tmp_path / "tools.yaml").write_text(json.dumps({"agents": {"root": agent}}))
    return build(make_settings(tmp_path, model.url, agents=tmp_path / "tools.yaml"))


@pytest.fixture
def server(tmp_path: Path, model: OfflineServer, hooks: dict[str, Any]) -> Iterator[Server]:
    server = built(tmp_path, model, hooks)
    yield server
    server.close()


@contextmanager
def server_with(
    tmp_path: Path, model: OfflineServer, hooks: dict[str, Any], **more: Any
) -> Iterator[LocalClient]:
    server = built(tmp_path, model, hooks, **more)
    try:
        yield LocalClient(server)
    finally:
        server.close()


def failure(events: list[Event]) -> tuple[str, str]:
    (error,) = of_type(events, "error")
    return error["code"], error["error"]


def test_a_hook_forbids_a_call_after_it_was_approved(local: LocalClient) -> None:
    session = local.new_session()
    text = call_text("shell", cmd="echo forbidden") + "[then][say done]"
    with local.run(session, text, agent="tools") as stream:
        asked = stream.until("tool_call_confirmation")
        local.resume(session, "approve")
        events = stream.rest()
    blocked = ["tool_call_confirmation", "hook_blocked", *REFUSED]
    assert shape(events) == [*TOOLS, *CALLED, *blocked, *TOOLS_LISTING, *SAID, *END]
    told = of_type(events, "hook_blocked")[0]
    assert set(told) == {"type", "tool_call", "tool_definition", "message", "agent_name", "timestamp"}
    assert (told["tool_call"], told["message"]) == (asked["tool_call"], "not that one")
    words = "Tool call blocked by hook: not that one"
    assert of_type(events, "tool_call_response")[0]["result"] == {"output": words, "isError": True}
    assert at_rest(local, session)[2]["content"] == words
    states = local.server.store.journal.ledger(session)
    assert [call.state for call in states.values()] == ["rejected"]


def test_a_hook_forbids_even_where_nobody_is_asked(local: LocalClient) -> None:
    text = call_text("think", thought="forbidden") + call_text("think", thought="fine") + "[then][say done]"
    events = local.say(local.new_session(), text, agent="tools")
    assert shape(events) == [
        *TOOLS,
        *CALLED,
        "hook_blocked",
        *REFUSED,
        *RAN,
        *TOOLS_LISTING,
        *SAID,
        *END,
    ]


def test_what_a_hook_says_to_a_call_is_told_before_it(local: LocalClient) -> None:
    text = call_text("think", thought="careful") + "[then][say done]"
    events = local.say(local.new_session(), text, agent="tools")
    assert shape(events) == [*TOOLS, *CALLED, "warning", *RAN, *TOOLS_LISTING, *SAID, *END]
    assert of_type(events, "warning")[0]["message"] == "be careful"


def test_a_hook_that_changes_a_call_is_seen_in_both_of_its_events(
    local: LocalClient, model: OfflineServer
) -> None:
    session = local.new_session(tools_approved=True)
    text = call_text("shell", cmd="echo rewrite") + "[then][say done]"
    events = local.say(session, text, agent="tools")
    assert shape(events) == [*TOOLS, *CALLED, *RAN, *TOOLS_LISTING, *SAID, *END]
    for kind in ("tool_call", "tool_call_response"):
        told = of_type(events, kind)[0]["tool_call"]["function"]
        assert told["arguments"] == '{"cmd":"echo rewritten"}'
    assert of_type(events, "tool_call_response")[0]["response"] == "rewritten"
    sent = model.requests[-1]["messages"][1]["content"]
    assert sent[0]["input"] == {"cmd": "echo rewrite"}, "the model's own words stay as they are"


@pytest.mark.parametrize("hooks", [{"post_tool_use": [{"hooks": [command(SAYS % "seen")]}]}])
def test_what_a_hook_says_after_a_call_is_told_after_its_result(local: LocalClient) -> None:
    text = call_text("think", thought="x") + call_text("nope", a=1) + "[then][say done]"
    events = local.say(local.new_session(), text, agent="tools")
    assert shape(events) == [*TOOLS, *CALLED, *RAN, "warning", *REFUSED, *TOOLS_LISTING, *SAID, *END]


@pytest.mark.parametrize(
    "stops",
    [
        "echo enough >&2; exit 2",
        """echo '{"decision": "block", "reason": "enough"}'""",
        """echo '{"continue": false, "stop_reason": "enough"}'""",
    ],
)
def test_a_no_after_a_call_ends_the_run_when_all_calls_have_their_results(
    tmp_path: Path, model: OfflineServer, stops: str
) -> None:
    hooks = {"post_tool_use": [{"matcher": "think", "hooks": [command(stops)]}]}
    with server_with(tmp_path, model, hooks) as local:
        session = local.new_session()
        calls = call_text("think", thought="a") + call_text("think", thought="b")
        events = local.say(session, calls + "[then][say done]", agent="tools")
        assert shape(events) == [*TOOLS, *CALLED, *RAN, *RAN, "error", *END]
        assert (failure(events)) == ("hook_blocked", "enough")
        assert roles(at_rest(local, session)) == ["user", "assistant", "tool", "tool"]
        assert "done" in text_of(local.say(session, "[say done]", agent="tools"))


NOTED = {
    "on_user_input": [command("cat >> noted; echo >> noted")],
    "session_start": [command("cat >> noted; echo >> noted"), command(SAYS % "welcome")],
    "session_end": [command("cat >> noted; echo >> noted")],
}


def noted(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / "noted").read_text().splitlines()]


@pytest.mark.parametrize("hooks", [NOTED])
def test_hooks_run_where_a_run_begins_and_ends(local: LocalClient, tmp_path: Path) -> None:
    session = local.new_session()
    events = local.say(session, "[say hello]", agent="tools")
    start = [*TOOLS[: TOOLS.index("stream_started") + 1], "warning", *TOOLS_LISTING]
    assert shape(events) == [*start, *SAID, *END]
    local.say(session, "[fail 403]", agent="tools")
    points = [(note["hook_event_name"], note.get("source") or note.get("reason")) for note in noted(tmp_path)]
    assert points == [
        ("session_start", "startup"),
        ("session_end", "finished"),
        ("on_user_input", None),
        ("session_start", "resume"),
        ("session_end", "failed"),
        ("on_user_input", None),
    ]
    assert all(note["session_id"] == session for note in noted(tmp_path))


@pytest.mark.parametrize("hooks", [{"on_user_input": [command("echo asked > told; exit 2")]}])
@pytest.mark.parametrize("text", [SHELL, PROMPT])
def test_hooks_are_told_that_the_user_is_asked_and_the_answer_is_never_lost(
    local: LocalClient, tmp_path: Path, text: str
) -> None:
    session = local.new_session()
    with local.run(session, text, agent="tools") as stream:
        if text == SHELL:
            stream.until("tool_call_confirmation")
            eventually((tmp_path / "told").exists, "the hook has run")
            local.resume(session, "approve")
        else:
            stream.until("elicitation_request")
            eventually((tmp_path / "told").exists, "the hook has run")
            local.elicit(session, "accept", {"a": "b"})
        assert text_of(stream.rest()) in ("done", "ok")


SLOW = {"pre_tool_use": [{"hooks": [command("echo up > begun; sleep 600")]}]}


@pytest.mark.parametrize("hooks", [SLOW])
def test_a_stop_ends_a_hook_and_the_call_is_not_made(local: LocalClient, tmp_path: Path) -> None:
    session = local.new_session()
    text = call_text("think", thought="x") + "[then][say done]"
    with local.run(session, text, agent="tools") as stream:
        stream.until("token_usage")
        eventually((tmp_path / "begun").exists, "the hook has begun")
        local.stop(session)
        events = stream.rest()
    assert shape(events)[-1] == "stream_stopped"
    assert of_type(events, "tool_call") == []
    states = local.server.store.journal.ledger(session)
    assert [call.state for call in states.values()] == ["cancelled"]
    at_rest(local, session)


@pytest.mark.parametrize("tool", ["transfer_task", "handoff", "run_background_agent"])
def test_e31_a_hook_has_a_say_in_every_tool(tmp_path: Path, model: OfflineServer, tool: str) -> None:
    agent = {
        "model": "anthropic/claude-sonnet-5-5",
        "toolsets": [{"type": "background_agents"}],
        "sub_agents": ["other"],
        "handoffs": ["other"],
        "hooks": {"pre_tool_use": [{"matcher": "*", "hooks": [command(GUARD)]}]},
    }
    other = {"model": "anthropic/claude-sonnet-5-5"}
    (tmp_path / "team.yaml").write_text(json.dumps({"agents": {"root": agent, "other": other}}))
    server = build(make_settings(tmp_path, model.url, agents=tmp_path / "team.yaml"))
    local = LocalClient(server)
    session = local.new_session(tools_approved=True)
    text = call_text(tool, agent="other", task="forbidden", expected_output="forbidden", note="forbidden")
    events = local.say(session, text + "[then][say done]", agent="team")
    server.close()
    (told,) = of_type(events, "tool_call_response")
    assert told["response"] == "Tool call blocked by hook: not that one"
    assert {event["agent_name"] for event in of_type(events, "agent_choice")} == {"root"}
