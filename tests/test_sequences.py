"""The order and the fields of events, scenario by scenario, as the contract has them, and what is stored after."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import build
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient
from tests.harness.wire import Client, Event, text_of

ZERO_TIME = "0001-01-01T00:00:00Z"
DELTAS = ("agent_choice", "agent_choice_reasoning", "partial_tool_call")
BESIDE = ("session_title", "hook_started", "hook_finished", "tool_call_output")

LISTING = ["toolset_info"]
TOOLS_LISTING = ["mcp_init_started", "mcp_init_finished", "toolset_info"]
SAID = ["agent_choice", "message_added", "token_usage"]
CALLED = ["partial_tool_call", "message_added", "token_usage"]
RAN = ["tool_call", "tool_call_response", "message_added"]
REFUSED = ["tool_call_response", "message_added"]
END = ["stream_stopped"]


def prologue(listing: list[str]) -> list[str]:
    return ["agent_info", "team_info", *listing, "user_message", "stream_started", *listing]


PLAIN = prologue(LISTING)
TOOLS = prologue(TOOLS_LISTING)


def shape(events: Iterable[Event]) -> list[str]:
    """The types, with each row of deltas as one. What may come anywhere is left out: a title, the beginnings and ends
    of hooks, and a running command's output, which comes in as many pieces as it is read in."""
    kinds = (event["type"] for event in events if event["type"] not in BESIDE)
    return [kind for kind, group in groupby(kinds) for _ in ([kind] if kind in DELTAS else list(group))]


def of_type(events: Iterable[Event], kind: str) -> list[Event]:
    return [event for event in events if event["type"] == kind]


def stripped(event: Event) -> Event:
    """Without its time stamp, which is a real one."""
    assert event["timestamp"] != ZERO_TIME
    return {key: value for key, value in event.items() if key != "timestamp"}


def call_text(name: str, **arguments: Any) -> str:
    return f"[call {name} {json.dumps(arguments)}]"


def at_rest(client: LocalClient | Client, session_id: str) -> list[dict[str, Any]]:
    """The messages of a session that must be free, with each call answered right behind its message."""
    body = client.session(session_id)
    assert "run" not in body
    messages = [item["message"] for item in body.get("messages", [])]
    assert_closed(messages)
    return messages


def assert_closed(messages: Sequence[dict[str, Any]]) -> None:
    open_calls: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            open_calls.remove(message["tool_call_id"])
        else:
            assert open_calls == []
            open_calls = [call["id"] for call in message.get("tool_calls", [])]
    assert open_calls == []


def roles(messages: Iterable[dict[str, Any]]) -> list[str]:
    return [message["role"] for message in messages]


# ---- answers


def assert_the_ten_events(events: Sequence[Event], session: str) -> None:
    assert [event["type"] for event in events] == [*PLAIN, *SAID, *END]
    info, team, listing, user, started, again, choice, added, usage, stopped = events
    assert stripped(info) == {
        "type": "agent_info",
        "agent_name": "root",
        "model": "anthropic/claude-sonnet-5-5",
        "description": "Says what it is told to say",
        "context_limit": 1_000_000,
    }
    assert stripped(team) == {
        "type": "team_info",
        "available_agents": [
            {
                "name": "root",
                "description": "Says what it is told to say",
                "provider": "anthropic",
                "model": "claude-sonnet-5-5",
            }
        ],
        "current_agent": "root",
        "agent_name": "root",
    }
    no_tools = {"type": "toolset_info", "available_tools": 0, "loading": False, "agent_name": "root"}
    assert stripped(listing) == stripped(again) == no_tools
    assert stripped(user) == {
        "type": "user_message",
        "message": "[say hello]",
        "session_id": session,
        "session_position": 0,
        "message_id": user["message_id"],
    }
    here = {"session_id": session, "agent_name": "root"}
    assert stripped(started) == {"type": "stream_started", **here}
    said = {"message_id": choice["message_id"], **here}
    assert stripped(choice) == {"type": "agent_choice", "content": "hello", **said}
    assert stripped(added) == {"type": "message_added", **here}
    assert stripped(stopped) == {"type": "stream_stopped", "reason": "normal", **here}
    assert_usage(usage, session)


def assert_usage(event: Event, session: str) -> None:
    assert set(event) == {"type", "session_id", "usage", "agent_name", "timestamp"}
    assert event["session_id"] == session
    usage, last = event["usage"], event["usage"]["last_message"]
    assert list(usage) == [
        *("input_tokens", "output_tokens", "context_length", "context_limit", "cost", "last_message")
    ]
    assert list(last) == [
        *("input_tokens", "output_tokens", "cached_input_tokens", "cached_write_tokens", "Cost", "Model"),
        "finish_reason",
    ]
    cached = last["cached_input_tokens"] + last["cached_write_tokens"]
    assert usage["input_tokens"] == last["input_tokens"] + cached
    assert usage["output_tokens"] == last["output_tokens"]
    assert usage["context_length"] == usage["input_tokens"] + usage["output_tokens"]
    assert usage["cost"] > 0
    assert last["Model"] == "claude-sonnet-5-5"
    assert last["finish_reason"] == "stop"


def test_a_plain_answer_is_exactly_ten_events(local: LocalClient) -> None:
    session = local.new_session(title="t")
    events = [event for event in local.say(session, "[say hello]") if event["type"] != "session_title"]
    assert_the_ten_events(events, session)
    messages = at_rest(local, session)
    assert [message["content"] for message in messages] == ["[say hello]", "hello"]
    assert set(messages[1]) == {"role", "content", "created_at", "usage", "model", "cost"}
    body = local.session(session)
    assert (body["input_tokens"], body["output_tokens"]) == (
        events[8]["usage"]["input_tokens"],
        events[8]["usage"]["output_tokens"],
    )


def test_a_plain_answer_from_a_real_server_is_the_same_ten_events(client: Client) -> None:
    session = client.new_session(title="t")
    with client.run(session, "[say hello]") as stream:
        events = [event for event in stream.rest() if event["type"] != "session_title"]
        assert stream.response.headers["Content-Type"].startswith("text/event-stream")
        assert stream.ids == sorted(set(stream.ids))
    assert_the_ten_events(events, session)
    assert roles(at_rest(client, session)) == ["user", "assistant"]


def test_one_event_tells_of_each_delta_and_the_second_run_of_its_own_message(local: LocalClient) -> None:
    session = local.new_session()
    local.say(session, "[say hello]")
    events = local.say(session, "[say one two three]")
    assert [event["content"] for event in of_type(events, "agent_choice")] == ["one ", "two ", "three"]
    assert of_type(events, "user_message")[0]["session_position"] == 2


def test_of_several_messages_the_last_is_told(local: LocalClient) -> None:
    session = local.new_session()
    with local.run(session, "first", "[say hello]") as stream:
        told = of_type(stream.rest(), "user_message")
    assert [(event["message"], event["session_position"]) for event in told] == [("[say hello]", 1)]
    assert roles(at_rest(local, session)) == ["user", "user", "assistant"]


@pytest.mark.parametrize("directive", ["[empty]", "[blank]"])
def test_an_empty_reply_is_counted_but_not_stored(local: LocalClient, directive: str) -> None:
    session = local.new_session()
    events = local.say(session, directive)
    kinds = [kind for kind in shape(events) if kind != "agent_choice"]
    assert kinds == [*PLAIN, "token_usage", *END]
    assert "last_message" not in of_type(events, "token_usage")[0]["usage"]
    assert roles(at_rest(local, session)) == ["user"]
    assert text_of(local.say(session, "[say still here]")).strip() == "still here"


def test_thinking_comes_before_the_answer_and_goes_back_unchanged(
    local: LocalClient, model: OfflineServer
) -> None:
    session = local.new_session()
    events = local.say(session, "[think about rivers][say They flow.]")
    assert shape(events) == [*PLAIN, "agent_choice_reasoning", *SAID, *END]
    thought = "".join(event["content"] for event in of_type(events, "agent_choice_reasoning"))
    said = at_rest(local, session)[1]
    assert said["reasoning_content"] == thought == "about rivers"
    assert said["thinking_signature"]
    assert text_of(local.say(session, "[redact][say more]")) == "more"
    assert text_of(local.say(session, "[say last]")) == "last"
    kinds = [[block["type"] for block in message["content"]] for message in model.requests[-1]["messages"]]
    assert kinds[1] == ["thinking", "text"]
    assert kinds[3] == ["redacted_thinking", "text"]


# ---- tools


def test_a_tool_that_only_reads_runs_without_a_question(local: LocalClient) -> None:
    session = local.new_session()
    events = local.say(session, call_text("think", thought="x") + "[then][say done]", agent="tools")
    assert shape(events) == [*TOOLS, *CALLED, *RAN, *TOOLS_LISTING, *SAID, *END]
    partial = of_type(events, "partial_tool_call")
    assert len(partial) >= 2
    assert "arguments" not in partial[0]["tool_call"]["function"]
    started, response = of_type(events, "tool_call")[0], of_type(events, "tool_call_response")[0]
    call = started["tool_call"]
    assert call == response["tool_call"]
    assert (call["type"], call["function"]) == ("function", {"name": "think", "arguments": '{"thought":"x"}'})
    assert {event["tool_call"]["id"] for event in partial} == {call["id"]}
    assert set(started) == {"type", "tool_call", "tool_definition", "agent_name", "timestamp"}
    assert set(response) == set(started) | {"tool_call_id", "response", "result", "state"}
    assert response["tool_call_id"] == call["id"]
    definition = started["tool_definition"]
    assert definition == response["tool_definition"]
    assert list(definition) == [
        *("name", "category", "description", "parameters", "annotations", "outputSchema")
    ]
    assert definition["annotations"]["readOnlyHint"] is True
    assert response["result"]["output"] == response["response"]
    assert "isError" not in response["result"]
    messages = at_rest(local, session)
    assert roles(messages) == ["user", "assistant", "tool", "assistant"]
    assert messages[1]["tool_calls"] == [call]
    assert messages[1]["tool_definitions"] == [definition]
    assert (messages[2]["tool_call_id"], messages[2]["content"]) == (call["id"], response["response"])
    assert "is_error" not in messages[2]


SHELL = call_text("shell", cmd="echo ran") + "[then][say done]"


def test_a_tool_that_acts_waits_for_approval(local: LocalClient) -> None:
    session = local.new_session()
    with local.run(session, SHELL, agent="tools") as stream:
        asked = stream.until("tool_call_confirmation")
        run = local.session(session)["run"]
        assert run["status"] == "awaiting_approval"
        assert run["waiting_for"]["call_id"] == asked["tool_call"]["id"]
        assert run["waiting_for"]["tool"] == "shell"
        assert local.resume(session, "approve") == {"message": "session resumed"}
        events = stream.rest()
    assert shape(events) == [
        *TOOLS,
        *CALLED,
        "tool_call_confirmation",
        *RAN,
        *TOOLS_LISTING,
        *SAID,
        *END,
    ]
    assert set(asked) == {"type", "tool_call", "tool_definition", "agent_name", "timestamp"}
    assert of_type(events, "tool_call")[0]["tool_call"] == asked["tool_call"]
    assert of_type(events, "tool_call_response")[0]["response"] == "ran"
    assert at_rest(local, session)[2]["content"] == "ran"


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ({}, "The user rejected the tool call."),
        ({"reason": "  "}, "The user rejected the tool call."),
        ({"reason": " too risky "}, "The user rejected the tool call. Reason: too risky"),
    ],
)
def test_a_rejected_call_is_an_error_and_the_other_calls_of_its_turn_go_on(
    local: LocalClient, reason: dict[str, str], words: str
) -> None:
    session = local.new_session()
    text = call_text("shell", cmd="echo no") + call_text("think", thought="x") + "[then][say done]"
    with local.run(session, text, agent="tools") as stream:
        stream.until("tool_call_confirmation")
        local.resume(session, "reject", reason)
        events = stream.rest()
    middle = ["tool_call_confirmation", *REFUSED, *RAN]
    assert shape(events) == [*TOOLS, *CALLED, *middle, *TOOLS_LISTING, *SAID, *END]
    rejected = of_type(events, "tool_call_response")[0]
    assert rejected["response"] == words
    assert rejected["result"] == {"output": words, "isError": True}
    messages = at_rest(local, session)
    assert (messages[2]["content"], messages[2]["is_error"]) == (words, True)


@pytest.mark.parametrize(
    ("permissions", "command", "words"),
    [
        ({"deny": ["shell"]}, "echo x", "Tool 'shell' is denied by session permissions."),
        ({}, "forbidden x", "Tool 'shell' is denied by permissions configuration."),
    ],
)
def test_a_denied_call_is_answered_without_a_question(
    local: LocalClient, permissions: dict[str, list[str]], command: str, words: str
) -> None:
    session = local.new_session(permissions=permissions)
    events = local.say(session, call_text("shell", cmd=command) + "[then][say done]", agent="tools")
    assert shape(events) == [*TOOLS, *CALLED, *REFUSED, *TOOLS_LISTING, *SAID, *END]
    assert of_type(events, "tool_call_response")[0]["result"] == {"output": words, "isError": True}
    assert at_rest(local, session)[2]["is_error"] is True


def test_what_the_team_denies_no_approval_of_the_session_allows(local: LocalClient) -> None:
    text = call_text("shell", cmd="forbidden; echo ran") + "[then][say done]"
    for body in ({"permissions": {"allow": ["shell"]}}, {"tools_approved": True}):
        events = local.say(local.new_session(**body), text, agent="tools")
        assert shape(events) == [*TOOLS, *CALLED, *REFUSED, *TOOLS_LISTING, *SAID, *END]


def test_an_unknown_tool_is_answered_without_a_question(local: LocalClient) -> None:
    session = local.new_session()
    events = local.say(session, call_text("nope", a=1) + "[then][say done]", agent="tools")
    assert shape(events) == [*TOOLS, *CALLED, *REFUSED, *TOOLS_LISTING, *SAID, *END]
    unknown: Event = {
        "name": "nope",
        "category": "",
        "parameters": None,
        "annotations": {},
        "outputSchema": None,
    }
    assert of_type(events, "partial_tool_call")[0]["tool_definition"] == unknown
    response = of_type(events, "tool_call_response")[0]
    assert response["tool_definition"] == unknown
    assert response["response"] == "Tool 'nope' is not available. You can only use the tools provided to you."
    assert response["result"]["isError"] is True
    assert "tool_definitions" not in at_rest(local, session)[1]


def test_several_calls_of_a_turn_run_one_after_the_other_in_the_models_order(local: LocalClient) -> None:
    session = local.new_session()
    text = "".join(call_text("shell", cmd=f"echo {n}") for n in (1, 2, 3)) + "[then][say done]"
    with local.run(session, text, agent="tools") as stream:
        for _ in range(3):
            stream.until("tool_call_confirmation")
            local.resume(session, "approve")
        events = stream.rest()
    group = ["tool_call_confirmation", *RAN]
    assert shape(events) == [*TOOLS, *CALLED, *group * 3, *TOOLS_LISTING, *SAID, *END]
    assert [event["response"] for event in of_type(events, "tool_call_response")] == ["1", "2", "3"]
    wanted = [call["id"] for call in at_rest(local, session)[1]["tool_calls"]]
    assert [event["tool_call"]["id"] for event in of_type(events, "tool_call")] == wanted


def test_approving_the_session_ends_all_questions_for_good(local: LocalClient) -> None:
    session = local.new_session()
    two = call_text("shell", cmd="echo 1") + call_text("shell", cmd="echo 2") + "[then][say done]"
    with local.run(session, two, agent="tools") as stream:
        stream.until("tool_call_confirmation")
        local.resume(session, "approve-session")
        events = stream.rest()
    assert len(of_type(events, "tool_call_confirmation")) == 1
    assert len(of_type(events, "tool_call")) == 2
    assert local.session(session)["tools_approved"] is True
    assert "tool_call_confirmation" not in shape(local.say(session, SHELL, agent="tools"))


@pytest.mark.parametrize(
    ("tool_name", "allowed"), [("", "shell"), ("shell", "shell"), ("shell:cmd=echo*", "shell:cmd=echo*")]
)
def test_approving_a_tool_ends_the_questions_for_what_it_matches(
    local: LocalClient, tool_name: str, allowed: str
) -> None:
    session = local.new_session()
    two = call_text("shell", cmd="echo 1") + call_text("shell", cmd="echo 2") + "[then][say done]"
    with local.run(session, two, agent="tools") as stream:
        stream.until("tool_call_confirmation")
        local.resume(session, "approve-tool", {"tool_name": tool_name})
        events = stream.rest()
    assert len(of_type(events, "tool_call_confirmation")) == 1
    assert len(of_type(events, "tool_call")) == 2
    body = local.session(session)
    assert body["permissions"]["allow"] == [allowed]
    assert body["tools_approved"] is False
    writing = call_text("write_file", path="a.txt", content="x") + "[then][say done]"
    with local.run(session, writing, agent="tools") as stream:
        stream.until("tool_call_confirmation")
        local.resume(session, "reject")
        stream.rest()
    at_rest(local, session)


def test_an_answer_that_is_none_changes_nothing(local: LocalClient) -> None:
    session = local.new_session()
    with local.run(session, SHELL, agent="tools") as stream:
        stream.until("tool_call_confirmation")
        for word in ("APPROVE", "yes", ""):
            local.resume(session, word, expect=422)
        assert local.session(session)["run"]["status"] == "awaiting_approval"
        local.resume(session, "approve")
        assert text_of(stream.rest()) == "done"
    at_rest(local, session)


# ---- a question to the user

PROMPT = (
    call_text("user_prompt", message="Which?", title="A choice", schema={"type": "object"}) + "[then][say ok]"
)


@pytest.mark.parametrize(
    ("action", "content", "output", "fails"),
    [
        ("accept", {"answer": "blue"}, '{"action":"accept","content":{"answer":"blue"}}', False),
        ("decline", None, '{"action":"decline"}', True),
        ("cancel", None, '{"action":"cancel"}', True),
    ],
)
def test_a_question_to_the_user_waits_for_the_answer(
    local: LocalClient, action: str, content: dict[str, str] | None, output: str, fails: bool
) -> None:
    session = local.new_session()
    with local.run(session, PROMPT, agent="tools") as stream:
        asked = stream.until("elicitation_request")
        assert local.session(session)["run"]["status"] == "awaiting_input"
        local.elicit(session, action, content)
        events = stream.rest()
    assert stripped(asked) == {
        "type": "elicitation_request",
        "elicitation_id": asked["elicitation_id"],
        "message": "Which?",
        "schema": {"type": "object"},
        "meta": {"cagent/title": "A choice"},
        "agent_name": "root",
    }
    middle = ["tool_call", "elicitation_request", *REFUSED]
    assert shape(events) == [*TOOLS, *CALLED, *middle, *TOOLS_LISTING, *SAID, *END]
    result = of_type(events, "tool_call_response")[0]["result"]
    assert result == {"output": output, "isError": True} if fails else {"output": output}
    assert at_rest(local, session)[2]["content"] == output


# ---- ends that nobody wished for


def test_a_model_error_is_eight_events_and_the_session_is_free(
    local: LocalClient, model: OfflineServer
) -> None:
    session = local.new_session()
    events = local.say(session, "[fail 403]")
    assert shape(events) == [*PLAIN, "error", *END]
    assert len(events) == 8
    error = events[6]
    assert error["timestamp"] == ZERO_TIME
    assert "agent_name" not in error
    assert error["error"].startswith("all models failed: ")
    assert "does not have permission" in error["error"]
    assert (error["code"], error["run_code"]) == ("model_error", "model_failed")
    assert error["session_id"] == session
    assert events[7]["reason"] == "error"
    assert roles(at_rest(local, session)) == ["user"]
    assert shape(local.say(session, "And now?"))[-2:] == ["error", "stream_stopped"]
    said = [part["text"] for part in model.requests[-1]["messages"][0]["content"]]
    assert said == ["[fail 403]", "And now?"]


def test_what_was_said_before_an_error_is_kept(local: LocalClient) -> None:
    session = local.new_session()
    events = local.say(session, "[error overloaded_error 2][say one two three]")
    assert shape(events) == [*PLAIN, "agent_choice", "message_added", "error", *END]
    item = local.session(session)["messages"][1]
    assert item["message"]["content"].strip() == "one two"
    assert item["partial"] == "failed"
    assert text_of(local.say(session, "[say back]")) == "back"
    at_rest(local, session)


def test_a_failure_that_passes_is_tried_again_and_never_seen(local: LocalClient) -> None:
    session = local.new_session()
    events = local.say(session, "[fail 529 1][say hello]")
    assert shape(events) == [*PLAIN, *SAID, *END]


def test_a_refusal_ends_the_run_and_is_not_shown_to_the_model_again(
    local: LocalClient, model: OfflineServer
) -> None:
    session = local.new_session()
    events = local.say(session, "[refuse]")
    assert shape(events) == [*PLAIN, "token_usage", "error", *END]
    assert of_type(events, "error")[0]["code"] == "refused"
    assert roles(at_rest(local, session)) == ["user"]
    assert text_of(local.say(session, "[say fine]")) == "fine"
    assert "[refuse]" not in json.dumps(model.requests[-1]["messages"])


def test_a_paused_turn_is_sent_back_and_goes_on(local: LocalClient) -> None:
    session = local.new_session()
    events = local.say(session, "[say I look.][pause][say Found it.]")
    assert shape(events) == [*PLAIN, *SAID, *LISTING, *SAID, *END]
    assert roles(at_rest(local, session)) == ["user", "assistant", "assistant"]
    assert text_of(local.say(session, "[say fine]")) == "fine"


def test_a_turn_that_failed_inside_a_pause_does_not_brick_its_session(
    local: LocalClient, model: OfflineServer
) -> None:
    session = local.new_session()
    assert shape(local.say(session, "[say I look.][pause][fail 403]"))[-2:] == ["error", "stream_stopped"]
    assert text_of(local.say(session, "[say fine]")) == "fine"
    assert "server_tool_use" not in json.dumps(model.requests[-1]["messages"])
    at_rest(local, session)


def test_a_person_who_speaks_inside_a_paused_turn_is_heard_when_it_has_ended(
    local: LocalClient, model: OfflineServer
) -> None:
    session = local.new_session()
    with local.run(session, "[hold 1][say look there][pause][say Found it.]") as stream:
        stream.until("agent_choice")
        steer = {"messages": [{"role": "user", "content": "[say Heard you.]"}]}
        local.call("POST", f"/api/sessions/{session}/steer", steer, expect=202)
        model.release()
        events = stream.rest()
    assert text_of(events).endswith("Found it.Heard you.")
    assert roles(at_rest(local, session)) == ["user", "assistant", "assistant", "user", "assistant"]


def test_a_turn_that_never_stops_pausing_ends_and_does_not_brick_its_session(local: LocalClient) -> None:
    session = local.new_session()
    events = local.say(session, "[say look][pause]" * 12)
    assert events[-1]["type"] == "stream_stopped"
    assert len(of_type(events, "token_usage")) == 11
    assert text_of(local.say(session, "[say fine]")) == "fine"
    at_rest(local, session)


@pytest.mark.parametrize(
    ("directive", "words"),
    [
        ("[max_tokens]", "The answer was cut off: it reached the limit of what the model may write."),
        ("[context_window]", "The answer was cut off: the model's context window is full."),
    ],
)
def test_an_answer_that_hit_a_limit_is_kept_with_a_warning(
    local: LocalClient, directive: str, words: str
) -> None:
    session = local.new_session()
    events = local.say(session, directive + "[say one two three four]")
    assert shape(events) == [*PLAIN, *SAID, "warning", *END]
    assert of_type(events, "warning")[0]["message"] == words
    assert at_rest(local, session)[1]["content"] == text_of(events)
    assert text_of(local.say(session, "[say fine]")) == "fine"


def test_f29_a_call_that_was_cut_by_the_limit_is_not_run(local: LocalClient, tmp_path: Path) -> None:
    session = local.new_session(tools_approved=True, working_dir=str(tmp_path))
    events = local.say(session, call_text("shell", cmd="touch ran-it") + "[truncate]", agent="tools")
    assert shape(events) == [*TOOLS, *CALLED, "warning", *REFUSED, *END]
    assert of_type(events, "tool_call_response")[0]["result"]["isError"] is True
    assert not (tmp_path / "ran-it").exists()
    assert roles(at_rest(local, session)) == ["user", "assistant", "tool"]
    assert text_of(local.say(session, "[say fine]", agent="tools")) == "fine"


def test_f29_of_a_turn_that_was_cut_by_the_limit_no_call_is_run(local: LocalClient, tmp_path: Path) -> None:
    session = local.new_session(tools_approved=True, working_dir=str(tmp_path))
    both = call_text("shell", cmd="touch ran-it") + call_text("shell", cmd="touch ran-it-too") + "[truncate]"
    events = local.say(session, both, agent="tools")
    assert shape(events) == [*TOOLS, *CALLED, "warning", *REFUSED, *REFUSED, *END]
    assert list(tmp_path.glob("ran*")) == []
    assert roles(at_rest(local, session)) == ["user", "assistant", "tool", "tool"]


def test_f29_a_call_that_was_cut_but_passes_for_whole_is_not_run(local: LocalClient, tmp_path: Path) -> None:
    session = local.new_session(tools_approved=True, working_dir=str(tmp_path))
    both = (
        call_text("shell", cmd="touch whole")
        + call_text("shell", cmd="touch ran-it")
        + "[truncate-as-tool_use]"
    )
    events = local.say(session, both + "[then][say done]", agent="tools")
    assert shape(events) == [*TOOLS, *CALLED, *RAN, *REFUSED, *TOOLS_LISTING, *SAID, *END]
    assert "not valid JSON" in of_type(events, "tool_call_response")[1]["response"]
    assert (tmp_path / "whole").exists()
    assert not (tmp_path / "ran-it").exists()
    assert roles(at_rest(local, session)) == ["user", "assistant", "tool", "tool", "assistant"]


@pytest.mark.parametrize("quirk", ["[same-ids]", "[empty-id]"])
def test_f26_calls_with_bad_ids_each_run_once_and_the_session_goes_on(local: LocalClient, quirk: str) -> None:
    session = local.new_session()
    calls = call_text("think", thought="a") + call_text("think", thought="b")
    for _ in range(2):
        events = local.say(
            session, calls + quirk + "[then]" + calls + quirk + "[then][say done]", agent="tools"
        )
        assert text_of(events) == "done"
        ids = [event["tool_call"]["id"] for event in of_type(events, "tool_call")]
        assert len(set(ids)) == 4
        assert "" not in ids
    at_rest(local, session)


# ---- the iteration limit

LONG = call_text("think", thought="x") + "[then]"


def test_at_the_iteration_limit_a_person_may_let_the_run_go_on(local: LocalClient) -> None:
    session = local.new_session()
    with local.run(session, LONG * 3 + "[say done]", agent="limited") as stream:
        reached = stream.until("max_iterations_reached")
        assert reached == {
            "type": "max_iterations_reached",
            "max_iterations": 2,
            "session_id": session,
            "request_id": reached["request_id"],
            "timestamp": ZERO_TIME,
        }
        assert local.session(session)["run"]["waiting_for"]["kind"] == "max_iterations"
        local.resume(session, "approve")
        events = stream.rest()
    turn = [*CALLED, *RAN, *TOOLS_LISTING]
    assert shape(events) == [*TOOLS, *turn * 2, "max_iterations_reached", *turn, *SAID, *END]
    at_rest(local, session)


def test_the_limit_rises_by_ten(local: LocalClient) -> None:
    session = local.new_session()
    with local.run(session, LONG * 14 + "[say done]", agent="limited") as stream:
        limits = []
        for _ in range(2):
            limits.append(stream.until("max_iterations_reached")["max_iterations"])
            local.resume(session, "approve")
        events = stream.rest()
    assert limits == [2, 12]
    assert text_of(events) == "done"


def test_at_the_iteration_limit_a_rejection_ends_the_run(local: LocalClient) -> None:
    session = local.new_session()
    with local.run(session, LONG * 3 + "[say done]", agent="limited") as stream:
        stream.until("max_iterations_reached")
        local.resume(session, "reject")
        events = stream.rest()
    assert shape(events)[-3:] == ["max_iterations_reached", "message_added", "stream_stopped"]
    assert text_of(events) == ""
    last = at_rest(local, session)[-1]
    assert last["role"] == "assistant"
    assert last["content"] == "Execution stopped after reaching the configured max_iterations limit (2)."
    assert "model" not in last


@pytest.mark.parametrize("word", ["approve-session", "approve-tool"])
def test_a_decision_meant_for_a_tool_does_not_answer_the_question_whether_to_go_on(
    local: LocalClient, word: str
) -> None:
    session = local.new_session()
    with local.run(session, LONG * 3 + "[say done]", agent="limited") as stream:
        stream.until("max_iterations_reached")
        body = {"confirmation": word, "tool_name": "shell"}
        refused = local.call("POST", f"/api/sessions/{session}/resume", body, expect=409)
        assert refused["code"] == "nothing_to_answer"
        assert "may go on" in refused["message"]
        state = local.session(session)
        assert state["tools_approved"] is False
        assert "permissions" not in state or not state["permissions"]
        local.resume(session, "approve")
        assert text_of(stream.rest()) == "done"
    at_rest(local, session)


# ---- toolsets that do not work


@pytest.fixture
def crippled(tmp_path: Path, model: OfflineServer) -> Iterator[LocalClient]:
    """A server with an agent of whose toolsets one can't be had."""
    agents = tmp_path / "agents"
    agents.mkdir()
    (agents / "crippled.yaml").write_text(
        "agents: {root: {model: anthropic/claude-sonnet-5-5, description: d, instruction: i,"
        " toolsets: [{type: lsp, command: x}, {type: think}]}}"
    )
    server = build(make_settings(tmp_path, model.url, agents=agents))
    yield LocalClient(server)
    server.close()


def test_a_toolset_that_fails_is_a_warning_and_the_others_work(crippled: LocalClient) -> None:
    session = crippled.new_session()
    events = crippled.say(session, call_text("think", thought="x") + "[then][say done]", agent="crippled")
    listing = TOOLS_LISTING
    head = ["agent_info", "team_info", "warning", *listing, "user_message", "stream_started", *listing]
    assert shape(events) == [*head, *CALLED, *RAN, *listing, *SAID, *END]
    warning = of_type(events, "warning")[0]
    assert warning["message"].startswith(
        "Some toolsets failed to initialize for agent 'root'.\n\nDetails:\n\n- "
    )
    assert "lsp" in warning["message"]
    at_rest(crippled, session)
