"""An agent's list of what is to be done, as people see and change it between two runs."""

from __future__ import annotations

import json
from typing import Any

from tests.conftest import server_of
from tests.harness.in_process import LocalClient

TEAM = """
agents:
  root: {model: anthropic/claude-sonnet-5-5, toolsets: [{type: shell}, {type: todo}], handoffs: [plain]}
  boss: {model: anthropic/claude-sonnet-5-5, toolsets: [{type: todo, shared: true}], sub_agents: [worker]}
  worker: {model: anthropic/claude-sonnet-5-5, description: d, toolsets: [{type: todo, shared: true}]}
  plain: {model: anthropic/claude-sonnet-5-5}
permissions: {allow: ["*_todo*"]}
"""


server = server_of(TEAM)


def noted(local: LocalClient, *texts: str, agent: str = "team") -> str:
    """A session whose agent has noted these."""
    session = local.new_session()
    local.say(
        session, f"[call create_todos {json.dumps({'descriptions': texts})}][then][say noted]", agent=agent
    )
    return session


def todos(local: LocalClient, session: str) -> list[tuple[str, str, str]]:
    listed = local.call("GET", f"/api/sessions/{session}/todos")
    assert all(list(one) == ["id", "description", "status"] for one in listed)
    return [tuple(one.values()) for one in listed]


def change(local: LocalClient, session: str, todo: str, *, expect: int = 200, **body: Any) -> Any:
    return local.call("PATCH", f"/api/sessions/{session}/todos/{todo}", body, expect=expect)


def remove(local: LocalClient, session: str, todo: str, *, expect: int = 200) -> Any:
    return local.call("DELETE", f"/api/sessions/{session}/todos/{todo}", expect=expect)


def said(local: LocalClient, session: str, agent: str = "team") -> dict[str, Any]:
    """The list as the agent itself sees it."""
    events = local.say(session, "[call list_todos {}][then][say seen]", agent=agent)
    (response,) = [event["response"] for event in events if event["type"] == "tool_call_response"]
    return dict(json.loads(response))


def test_the_list_is_shown_as_the_agent_left_it(local: LocalClient) -> None:
    empty = local.new_session()
    assert todos(local, empty) == []
    session = noted(local, "read", "write")
    assert todos(local, session) == [("todo_1", "read", "pending"), ("todo_2", "write", "pending")]
    without = local.new_session()
    local.say(without, "[say none]", agent="team/plain")
    assert todos(local, without) == []


def test_a_change_is_what_the_agent_finds(local: LocalClient) -> None:
    session = noted(local, "read", "write", "rest")
    assert change(local, session, "todo_1", status="completed")[0]["status"] == "completed"
    change(local, session, "todo_2", description="write well", expected_description="write")
    assert [one["id"] for one in remove(local, session, "todo_3")] == ["todo_1", "todo_2"]
    after = [("todo_1", "read", "completed"), ("todo_2", "write well", "pending")]
    assert todos(local, session) == after
    assert [tuple(one.values()) for one in said(local, session)["todos"]] == after
    assert len(local.messages(session)) == 8, "two runs and nothing else"


def test_a_description_that_has_changed_since_is_not_overwritten(local: LocalClient) -> None:
    session = noted(local, "read")
    refused = change(local, session, "todo_1", expect=409, description="a", expected_description="old")
    assert refused["code"] == "todo_changed"
    assert todos(local, session) == [("todo_1", "read", "pending")]


def test_what_is_not_there_is_not_changed(local: LocalClient) -> None:
    session = noted(local, "read")
    for other in (session, local.new_session()):
        assert change(local, other, "todo_9", expect=404, status="pending")["code"] == "unknown_part"
        assert remove(local, other, "todo_9", expect=404)["code"] == "unknown_part"


def test_a_new_todo_never_gets_the_id_of_another(local: LocalClient) -> None:
    session = noted(local, "a", "b", "c")
    remove(local, session, "todo_1")
    local.say(session, '[call create_todo {"description": "d"}][then][say noted]', agent="team")
    assert [one[0] for one in todos(local, session)] == ["todo_2", "todo_3", "todo_4"]


def test_a_list_can_be_emptied(local: LocalClient) -> None:
    session = noted(local, "a")
    assert remove(local, session, "todo_1") == []
    assert todos(local, session) == []
    assert said(local, session)["todos"] == []


def test_a_run_at_work_is_not_disturbed(local: LocalClient) -> None:
    session = noted(local, "read")
    more = '[call create_todo {"description": "more"}][then][call shell {"cmd": "true"}][then][say done]'
    with local.run(session, more, agent="team") as stream:
        stream.until("tool_call_confirmation")
        for refused in (
            change(local, session, "todo_1", expect=409, status="completed"),
            remove(local, session, "todo_1", expect=409),
        ):
            assert (refused["code"], refused["run"]["session_id"]) == ("awaiting_approval", session)
        assert [one[1] for one in todos(local, session)] == ["read", "more"], "looking disturbs nobody"
        local.call("POST", f"/api/sessions/{session}/resume", {"confirmation": "approve"})
        stream.rest()
    local.wait_until_free(session)
    assert todos(local, session) == [("todo_1", "read", "pending"), ("todo_2", "more", "pending")]


def test_a_shared_list_is_the_conversations(local: LocalClient) -> None:
    session = noted(local, "read", agent="team/boss")
    task = '[call create_todo {"description": "help"}][then][say helped]'
    given = json.dumps({"agent": "worker", "task": task, "expected_output": ""})
    local.say(session, f"[call transfer_task {given}][then][say done]", agent="team/boss")
    below = local.session(session)["tasks"][0]["id"]
    assert todos(local, below) == todos(local, session)
    assert [one[1] for one in todos(local, session)] == ["read", "help"]
    change(local, below, "todo_2", status="completed")
    assert todos(local, session)[1] == ("todo_2", "help", "completed")


def test_a_change_is_in_the_trail(local: LocalClient) -> None:
    session = noted(local, "read")
    change(local, session, "todo_1", status="in-progress")
    remove(local, session, "todo_1")
    entries = local.call("GET", f"/api/audit?session={session}&action=todo")["entries"]
    assert [entry["detail"] for entry in entries] == ["todo_1 removed", "todo_1 in-progress"]
