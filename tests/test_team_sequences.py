"""The order of events where more than one agent, a person or a tool server has a part in a run: the bytes that leave
the server, scenario by scenario.

Where each sequence of the contract is tested:

| Scenario | Test |
| --- | --- |
| plain answer, empty reply, thinking | `test_sequences`: ten events, empty reply, thinking |
| tool: auto-approved, approved, rejected, denied, unknown, several | `test_sequences`: the section on tools |
| tool blocked by a hook, hooks that say something | `test_hooks` |
| model error, partial output, fallbacks | `test_sequences`: ends; `test_fallback` |
| maximum of iterations: continued, raised, refused | `test_sequences`: the iteration limit |
| compaction: before a turn, after results, on overflow, failed | `test_compaction` |
| `user_prompt` | `test_sequences`: a question to the user |
| title: told, and not told when it is late | here |
| task: done, failed, nested, for somebody who does no tasks | here |
| handoff | here |
| OAuth where a tool server starts | here |
| session deleted, run stopped | here |
| lines: whatever is too long for one | here |
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import build
from tests.agent.tools.test_mcp_remote import Site, running
from tests.conftest import make_settings, server_of
from tests.harness.in_process import LocalClient
from tests.harness.strict_client import MAX_LINE
from tests.harness.wire import Event, text_of
from tests.test_sequences import (
    CALLED,
    END,
    LISTING,
    PLAIN,
    RAN,
    SAID,
    TOOLS,
    TOOLS_LISTING,
    ZERO_TIME,
    at_rest,
    call_text,
    of_type,
    shape,
    stripped,
)

TEAM = """
agents:
  root:
    model: m
    description: Leads
    sub_agents: [helper]
    handoffs: [successor]
  helper: {model: m, description: Helps, sub_agents: [deeper]}
  deeper: {model: m, description: Helps those who help}
  successor: {model: m, description: Goes on, toolsets: [{type: think}]}
models: {m: {provider: anthropic, model: claude-sonnet-5-5}}
"""
SWITCHED = ["agent_switching", "agent_info"]
TASK = [*SWITCHED, "agent_info", "team_info", *TOOLS_LISTING, "stream_started", *TOOLS_LISTING]
DEEPER = [*SWITCHED, "agent_info", "team_info", *LISTING, "stream_started", *LISTING]
BACK = ["stream_stopped", *SWITCHED, "tool_call_response", "message_added"]


server = server_of(TEAM)


def task(text: str, *, agent: str = "helper", then: str = "[then][say done]") -> str:
    return call_text("transfer_task", agent=agent, task=text, expected_output="") + then


def names(events: list[Event], kind: str) -> list[str]:
    return [str(event["agent_name"]) for event in of_type(events, kind)]


# ---- tasks


def test_a_task_is_told_inside_its_call(local: LocalClient) -> None:
    session = local.new_session()
    events = local.say(session, task("[say found it]"), agent="team")
    assert shape(events) == [*TOOLS, *CALLED, "tool_call", *TASK, *SAID, *BACK, *TOOLS_LISTING, *SAID, *END]
    there, back = of_type(events, "agent_switching")
    assert stripped(there) == {
        "type": "agent_switching",
        "switching": True,
        "from_agent": "root",
        "to_agent": "helper",
        "agent_name": "helper",
    }
    assert stripped(back) == {
        "type": "agent_switching",
        "switching": False,
        "from_agent": "helper",
        "to_agent": "root",
        "agent_name": "root",
    }
    assert names(events, "agent_info") == ["root", "helper", "helper", "root"]
    started = of_type(events, "stream_started")
    child = started[1]["session_id"]
    assert child not in ("", session)
    assert [event["session_id"] for event in of_type(events, "stream_stopped")] == [child, session]
    assert [event["session_id"] for event in of_type(events, "token_usage")] == [session, child, session]
    assert [event["session_id"] for event in of_type(events, "message_added")] == [
        *(session, child, session, session)
    ]
    assert len(of_type(events, "user_message")) == 1, "what a task says was not said by the user"
    assert of_type(events, "tool_call_response")[0]["result"] == {"output": "found it"}
    assert [message["content"] for message in local.messages(child)][1:] == ["found it"]
    at_rest(local, session)
    (told,) = local.session(session)["tasks"]
    assert {key: told[key] for key in ("id", "title", "agent")} == {
        "id": child,
        "title": "Transferred task",
        "agent": "helper",
    }
    assert "tasks" not in local.session(child)


def test_a_task_that_fails_has_an_end_of_its_own_and_its_call_an_answer(local: LocalClient) -> None:
    session = local.new_session()
    events = local.say(session, task("[fail 403]"), agent="team")
    failed = [*TASK, "error", *BACK]
    assert shape(events) == [*TOOLS, *CALLED, "tool_call", *failed, *TOOLS_LISTING, *SAID, *END]
    words = of_type(events, "error")[0]["error"]
    assert "does not have permission" in words
    result = of_type(events, "tool_call_response")[0]["result"]
    assert result == {"output": f"Error calling tool: {words}", "isError": True}
    child, parent = (event["session_id"] for event in of_type(events, "stream_stopped"))
    assert parent == session
    assert child == of_type(events, "stream_started")[1]["session_id"]
    at_rest(local, session)


def test_what_was_said_before_a_task_failed_is_told_too(local: LocalClient) -> None:
    events = local.say(
        local.new_session(), task("[error overloaded_error 2][say one two three]"), agent="team"
    )
    failed = [*TASK, "agent_choice", "message_added", "error", *BACK]
    assert shape(events) == [*TOOLS, *CALLED, "tool_call", *failed, *TOOLS_LISTING, *SAID, *END]


def test_a_task_within_a_task_lies_inside_it(local: LocalClient) -> None:
    session = local.new_session()
    inner = task("[say deepest]", agent="deeper", then="[then][say deep]")
    events = local.say(session, task(inner), agent="team")
    within = [*CALLED, "tool_call", *DEEPER, *SAID, *BACK, *TOOLS_LISTING, *SAID]
    assert shape(events) == [*TOOLS, *CALLED, "tool_call", *TASK, *within, *BACK, *TOOLS_LISTING, *SAID, *END]
    assert [event["response"] for event in of_type(events, "tool_call_response")] == ["deepest", "deep"]
    begun = [event["session_id"] for event in of_type(events, "stream_started")]
    assert [event["session_id"] for event in of_type(events, "stream_stopped")] == begun[::-1]


@pytest.mark.parametrize("agent", ["successor", "nobody"])
def test_a_task_for_somebody_who_does_none_is_an_error_and_nobody_is_switched_to(
    local: LocalClient, agent: str
) -> None:
    session = local.new_session()
    events = local.say(session, task("x", agent=agent), agent="team")
    assert shape(events) == [*TOOLS, *CALLED, *RAN, *TOOLS_LISTING, *SAID, *END]
    words = (
        f"Agent root cannot transfer task to {agent}: target agent not in sub-agents list. "
        "Available agent IDs are: helper"
    )
    assert of_type(events, "tool_call_response")[0]["result"] == {"output": words, "isError": True}
    assert set(names(events, "agent_choice")) == {"root"}
    at_rest(local, session)


# ---- the conversation given away


def test_after_a_handoff_the_events_are_the_new_agents(local: LocalClient) -> None:
    session = local.new_session()
    events = local.say(session, call_text("handoff", agent="successor") + "[then][say mine]", agent="team")
    told = shape(events)
    before, after = [*TOOLS, *CALLED, *RAN], [*TOOLS_LISTING, *SAID, *END]
    assert told[: len(before)] == before
    assert told[-len(after) :] == after
    announced = told[len(before) : -len(after)]
    assert announced == ["agent_info"], "nobody is switched to: the conversation stays with him"
    since = events[-len(told[len(before) :]) :]
    assert {event["agent_name"] for event in since if event["type"] != "stream_stopped"} == {"successor"}
    assert {event["session_id"] for event in since if "session_id" in event} == {session}
    assert local.call("GET", f"/api/sessions/{session}/status")["agent"] == "successor"
    at_rest(local, session)


def test_a_handoff_that_is_taken_back_does_not_count(local: LocalClient) -> None:
    session = local.new_session()
    local.say(session, "[say one]", agent="team")
    local.say(session, call_text("handoff", agent="successor") + "[then][say mine]", agent="team")
    local.call("POST", f"/api/sessions/{session}/undo")
    assert next_speaker(local, session) == "root"


def next_speaker(local: LocalClient, session: str) -> str:
    """Who answers a request that names no agent."""
    local.say(session, "[say it]", agent="team")
    return str(local.call("GET", f"/api/sessions/{session}/status")["agent"])


@pytest.mark.parametrize(("index", "speaker"), [(0, "root"), (1, "root"), (2, "successor"), (3, "successor")])
def test_a_copy_belongs_to_the_agent_to_whom_what_it_has_was_given(
    local: LocalClient, index: int, speaker: str
) -> None:
    """A request that names an agent gives the conversation to nobody."""
    session = local.new_session()
    local.say(session, "[say one]", agent="team")
    local.say(session, call_text("handoff", agent="successor") + "[then][say mine]", agent="team")
    local.say(session, "[say two]", agent="team/root")
    local.say(session, "[say three]", agent="team/root")
    fork = local.call("POST", f"/api/sessions/{session}/fork", {"user_message_index": index})["id"]
    assert next_speaker(local, fork) == speaker
    local.call("POST", f"/api/sessions/{session}/undo", {"user_message_index": index})
    assert next_speaker(local, session) == speaker


def test_a_refused_handoff_in_what_is_left_counts_for_nothing(local: LocalClient) -> None:
    session = local.new_session()
    local.say(session, call_text("handoff", agent="helper") + "[then][say no]", agent="team")
    local.say(session, call_text("handoff", agent="successor") + "[then][say mine]", agent="team")
    fork = local.call("POST", f"/api/sessions/{session}/fork", {"user_message_index": 1})["id"]
    assert next_speaker(local, fork) == "root"


def test_a_copys_copy_is_still_the_successors(local: LocalClient) -> None:
    session = local.new_session()
    local.say(session, call_text("handoff", agent="successor") + "[then][say mine]", agent="team")
    for _ in range(2):
        session = local.call("POST", f"/api/sessions/{session}/fork")["id"]
    assert next_speaker(local, session) == "successor"
    local.call("POST", f"/api/sessions/{session}/undo", {"user_message_index": 1})
    assert next_speaker(local, session) == "successor"


def test_a_handoff_to_somebody_else_is_an_error_and_nothing_changes(local: LocalClient) -> None:
    events = local.say(
        local.new_session(), call_text("handoff", agent="helper") + "[then][say mine]", agent="team"
    )
    assert shape(events) == [*TOOLS, *CALLED, *RAN, *TOOLS_LISTING, *SAID, *END]
    assert of_type(events, "tool_call_response")[0]["response"] == (
        "Agent root cannot hand off to helper: target agent not in handoffs list. "
        "Available agent IDs are: successor"
    )
    assert names(events, "agent_choice") == ["root"]


# ---- titles


@pytest.fixture
def titled(tmp_path: Path, model: OfflineServer) -> Iterator[LocalClient]:
    built = build(make_settings(tmp_path, model.url, titles=True))
    yield LocalClient(built)
    built.close()


def test_a_title_that_is_ready_in_time_is_told_once(titled: LocalClient, model: OfflineServer) -> None:
    session = titled.new_session()
    with titled.run(session, "[hold 1][say one two]") as stream:
        told = stream.until("session_title")
        assert model.wait_until(lambda stats: stats.open_streams == 1), "it may be asked for the title first"
        model.release()
        events = stream.rest()
    assert set(told) == {"type", "session_id", "title", "timestamp"}
    assert (told["session_id"], told["timestamp"]) == (session, ZERO_TIME)
    assert told["title"] == titled.session(session)["title"] != ""
    assert shape(events) == [*PLAIN, *SAID, *END]
    again = titled.say(session, "[say three]")
    assert of_type(events, "session_title") == [told]
    assert of_type(again, "session_title") == []


def test_a_title_that_somebody_has_set_is_not_made_again(titled: LocalClient) -> None:
    session = titled.new_session()
    titled.call("PATCH", f"/api/sessions/{session}/title", {"title": "Mine"})
    events = titled.say(session, "[say one]")
    assert of_type(events, "session_title") == []
    assert [event["type"] for event in events] == [*PLAIN, *SAID, *END]


# ---- a tool server that wants to know its caller


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site(token="secret")
    with running("streamable", site):
        yield site


@pytest.fixture
def guarded(tmp_path: Path, model: OfflineServer, site: Site) -> Iterator[LocalClient]:
    toolset = f'{{type: mcp, tools: [echo], remote: {{url: "{site.url}/mcp", transport_type: streamable}}}}'
    text = f"agents: {{root: {{model: anthropic/claude-sonnet-5-5, instruction: i, toolsets: [{toolset}]}}}}"
    (tmp_path / "guarded.yaml").write_text(text)
    built = build(make_settings(tmp_path, model.url, agents=tmp_path / "guarded.yaml"))
    yield LocalClient(built)
    built.close()


OAUTH = [
    "mcp_init_started",
    "elicitation_request",
    "authorization_event",
    "mcp_init_finished",
    "toolset_info",
]


def test_a_tool_server_that_wants_a_token_asks_for_it_while_it_starts(
    guarded: LocalClient, site: Site
) -> None:
    session = guarded.new_session(tools_approved=True)
    text = call_text("echo", text="hi") + "[then][say done]"
    with guarded.run(session, text, agent="guarded") as stream:
        asked = stream.until("elicitation_request")
        guarded.elicit(session, "accept", {"access_token": "secret", "token_type": "Bearer"})
        events = stream.rest()
    assert shape(events) == [
        *("agent_info", "team_info", *OAUTH, "user_message", "stream_started", *TOOLS_LISTING),
        *(*CALLED, *RAN, *TOOLS_LISTING, *SAID, *END),
    ]
    for prefix in ("cagent", "docker-agent"):
        assert asked["meta"][f"{prefix}/type"] == "oauth_flow"
        assert asked["meta"][f"{prefix}/server_url"].startswith(site.url)
    assert set(asked) == {*("type", "message", "schema", "elicitation_id", "meta", "agent_name", "timestamp")}
    assert stripped(of_type(events, "authorization_event")[0]) == {
        "type": "authorization_event",
        "confirmation": "accept",
        "agent_name": "root",
    }
    assert of_type(events, "tool_call_response")[0]["response"] == "hi"
    at_rest(guarded, session)


def test_a_tool_server_whose_question_is_declined_stays_out_with_a_warning(guarded: LocalClient) -> None:
    session = guarded.new_session()
    with guarded.run(session, "[say alone]", agent="guarded") as stream:
        stream.until("elicitation_request")
        guarded.elicit(session, "decline")
        events = stream.rest()
    first = ["mcp_init_started", "elicitation_request", "warning", "mcp_init_finished", "toolset_info"]
    head = ["agent_info", "team_info", *first, "user_message", "stream_started"]
    assert shape(events)[: len(head)] == head
    assert text_of(events) == "alone"
    at_rest(guarded, session)


# ---- ends from outside


def test_a_run_that_is_stopped_and_one_whose_session_is_deleted_have_an_end(
    local: LocalClient, model: OfflineServer
) -> None:
    stopped, deleted = local.new_session(), local.new_session()
    with local.run(stopped, "[hold 1][say one two]", agent="team") as stream:
        stream.until("agent_choice")
        local.stop(stopped)
        assert shape(stream.rest()) == [*TOOLS, "agent_choice", "message_added", *END]
    with local.run(deleted, "[hold 1][say one two]", agent="team") as stream:
        stream.until("agent_choice")
        local.call("DELETE", f"/api/sessions/{deleted}")
        told = shape(stream.rest())
    assert told[: len(TOOLS) + 1] == [*TOOLS, "agent_choice"]
    assert told[-1] in ("stream_stopped", "session_exited")
    model.release()


# ---- whatever is too long for a line


LONG_TEAM = f"""
agents:
  root:
    model: m
    description: {"Very long. " * 9000}
    commands: {{fix: {{instruction: {"Fix it. " * 9000}}}}}
    toolsets: [{{type: filesystem}}, {{type: shell}}]
models: {{m: {{provider: anthropic, model: claude-sonnet-5-5}}}}
"""


@pytest.fixture
def long(tmp_path: Path, model: OfflineServer) -> Iterator[LocalClient]:
    (tmp_path / "long.yaml").write_text(LONG_TEAM)
    built = build(make_settings(tmp_path, model.url, agents=tmp_path / "long.yaml"))
    yield LocalClient(built)
    built.close()


def test_no_line_is_too_long_and_what_is_stored_is_whole(long: LocalClient, tmp_path: Path) -> None:
    local = long
    session = local.new_session(working_dir=str(tmp_path), tools_approved=True)
    content = 'A "quoted" line, \u00e9\u4e16\U0001f600.\n' * 3000
    (tmp_path / "big.txt").write_text(content)
    text = "".join(
        [
            call_text("write_file", path="copy.txt", content=content),
            call_text("shell", cmd="cat big.txt"),
            f"[then][say {'words' * 30_000}]",
        ]
    )
    with local.run(session, text, agent="long") as stream:
        events = stream.rest()
    assert max(map(len, bytes(stream.raw).split(b"\n"))) <= MAX_LINE
    assert len(stream.raw) > 5 * MAX_LINE
    assert (tmp_path / "copy.txt").read_text() == content
    messages = at_rest(local, session)
    assert messages[0]["content"] == text
    assert json.loads(messages[1]["tool_calls"][0]["function"]["arguments"])["content"] == content
    assert messages[-1]["content"] == text_of(events), "of texts nothing is missing, not even in the stream"
    assert messages[-1]["content"] == "words" * 30_000
    for event in of_type(events, "tool_call_response"):
        assert event["tool_call"]["id"]
        assert event["result"]["output"]
    user: dict[str, Any] = of_type(events, "user_message")[0]
    assert text.startswith(user["message"].partition("\n\n[cut:")[0])
