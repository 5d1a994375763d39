"""The history of a session tells all that happened in it, and in the tasks below it, in its order."""

from __future__ import annotations

import json
from typing import Any

from tests.conftest import server_of
from tests.harness.in_process import LocalClient

TEAM = """
agents:
  boss: {model: small, sub_agents: [worker], toolsets: [{type: shell}, {type: think}]}
  worker: {model: small, description: d, sub_agents: [helper], toolsets: [{type: think}]}
  helper: {model: small, description: d, toolsets: [{type: think}]}
models:
  small: {provider: anthropic, model: claude-haiku-4-5}
"""


server = server_of(TEAM)


def task(agent: str, words: str) -> str:
    return f"[call transfer_task {json.dumps({'agent': agent, 'task': words, 'expected_output': ''})}]"


def history(local: LocalClient, session: str) -> list[dict[str, Any]]:
    return list(local.call("GET", f"/api/sessions/{session}/history")["history"])


def outline(local: LocalClient, session: str) -> list[tuple[int, str, str]]:
    """Depth, type, and the words or whatever else says most."""
    return [(one["depth"], one["type"], _gist(one)) for one in history(local, session)]


def _gist(entry: dict[str, Any]) -> str:
    match entry["type"]:
        case "message":
            calls = ",".join(fate["state"] for fate in entry.get("calls", {}).values())
            return f"{entry['message']['role']}:{calls or entry['message']['content'][:20]}"
        case "run_ended":
            return str(entry["run"]["status"])
        case "summary" | "note":
            return ""
        case _:
            return f"{entry['from_agent']}>{entry['to_agent']}{entry.get('error', '')}"


def test_a_new_session_has_none(local: LocalClient) -> None:
    session = local.new_session()
    body = local.call("GET", f"/api/sessions/{session}/history")
    assert body["history"] == []
    assert (body["id"], body["cost"]) == (session, 0)
    assert "messages" not in body
    assert "first_of_run" not in body


def test_what_happens_in_tasks_stands_between_what_their_givers_say(local: LocalClient) -> None:
    session = local.new_session()
    inner = task("helper", '[call think {"thought": "x"}][then][say thought]')
    local.say(session, f"{task('worker', inner + '[then][say inner]')}[then][say outer]", agent="team")
    assert outline(local, session) == [
        (0, "message", f"user:{local.messages(session)[0]['content'][:20]}"),
        (0, "message", "assistant:completed"),
        (0, "task", "boss>worker"),
        (1, "message", "user:<task>\n[call transfe"),
        (1, "message", "assistant:completed"),
        (1, "task", "worker>helper"),
        (2, "message", "user:<task>\n[call think {"),
        (2, "message", "assistant:completed"),
        (2, "message", "tool:Thoughts:\nx"),
        (2, "message", "assistant:thought"),
        (1, "task_ended", "worker>helper"),
        (1, "message", "tool:thought"),
        (1, "message", "assistant:inner"),
        (0, "task_ended", "boss>worker"),
        (0, "message", "tool:inner"),
        (0, "message", "assistant:outer"),
    ]


def test_a_task_that_failed_says_why(local: LocalClient) -> None:
    session = local.new_session()
    local.say(session, f"{task('worker', '[fail 400]')}[then][say so what]", agent="team")
    (ended,) = [one for one in history(local, session) if one["type"] == "task_ended"]
    result = next(one for one in local.messages(session) if one["role"] == "tool")
    assert ended["error"]
    assert result["content"] == f"Error calling tool: {ended['error']}"


def test_each_run_that_failed_is_told_where_it_ended(local: LocalClient) -> None:
    session = local.new_session()
    local.say(session, "[fail 400 2][say fine]", agent="team")
    for _ in range(2):
        local.call("POST", f"/api/sessions/{session}/retry", expect=202)
        local.wait_until_free(session)
    assert [one[1:] for one in outline(local, session)] == [
        ("message", "user:[fail 400 2][say fin"),
        ("run_ended", "failed"),
        ("run_ended", "failed"),
        ("message", "assistant:fine"),
    ]
    first, second = [one["run"] for one in history(local, session) if one["type"] == "run_ended"]
    assert second["retries"] == first["id"]
    assert first["error"]
    assert second["error"]


def test_a_page_knows_from_where_the_events_of_a_run_tell_again(local: LocalClient) -> None:
    session = local.new_session()
    local.say(session, "[say one]", agent="team")
    with local.run(session, '[call shell {"cmd": "true"}]', agent="team") as stream:
        stream.until("tool_call_confirmation")
        body = local.call("GET", f"/api/sessions/{session}/history")
        assert body["first_of_run"] == 2
        assert body["run"]["waiting_for"]["tool"] == "shell"
        assert list(body["history"][-1]["calls"].values()) == [{"state": "awaiting_approval"}]
        local.call("POST", f"/api/sessions/{session}/resume", {"confirmation": "reject", "reason": "no"})
        stream.rest()
    (call,) = next(one["calls"] for one in history(local, session) if "calls" in one).values()
    assert call == {"state": "rejected", "decision": "reject", "decided_by": "127.0.0.1", "reason": "no"}
    assert "first_of_run" not in local.call("GET", f"/api/sessions/{session}/history")


def test_a_summary_stands_where_it_was_made(local: LocalClient) -> None:
    session = local.new_session()
    local.say(session, "[say one]", agent="team")
    local.call("POST", f"/api/sessions/{session}/compact", {}, expect=202)
    local.wait_until_free(session)
    local.say(session, "[say two]", agent="team")
    kinds = [one["type"] for one in history(local, session)]
    assert kinds == ["message", "message", "summary", "message", "message"]


def test_events_say_how_calls_ended_as_the_history_does(local: LocalClient) -> None:
    session = local.new_session(permissions={"deny": ["think"], "allow": ["shell"]})
    calls = '[call think {"thought": "x"}][call shell {"cmd": "true"}][call shell {"command": "true"}]'
    events = local.say(session, f"{calls}[then][say done]", agent="team")
    told = [event["state"] for event in events if event["type"] == "tool_call_response"]
    (fates,) = [one["calls"] for one in history(local, session) if "calls" in one]
    assert told == [fate["state"] for fate in fates.values()] == ["rejected", "completed", "failed"]


def test_warnings_stand_where_they_were_told_as_long_as_their_events_are_kept(local: LocalClient) -> None:
    session = local.new_session()
    inner = task("worker", "[say a long story is told here] [max_tokens]")
    local.say(session, f"{inner}[then][say well, then it goes on] [max_tokens]", agent="team")
    assert [one[:2] for one in outline(local, session)] == [
        (0, "message"),
        (0, "message"),
        (0, "task"),
        (1, "message"),
        (1, "message"),
        (1, "note"),
        (0, "task_ended"),
        (0, "message"),
        (0, "message"),
        (0, "note"),
    ]
    events = [one["event"] for one in history(local, session) if one["type"] == "note"]
    assert {(event["type"], event["message"]) for event in events} == {
        ("warning", "The answer was cut off: it reached the limit of what the model may write.")
    }
