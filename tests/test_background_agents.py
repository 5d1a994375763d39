"""E29: tasks that agents do in the background. They belong to their session, not to the request that started them;
they are stored, ask nobody, and write nothing into the conversation."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.agent.tools import background_agents
from app.conversation.run import Baton
from app.conversation.session import Session
from app.conversation.transcript import Message
from app.errors import BatonLost, StoreUnavailable
from app.factory import Server, build
from app.runtime.background_runs import Work
from app.runtime.process_identity import this_process
from app.store import background_store
from app.store.run_request import RunRequest
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient
from tests.harness.process import eventually
from tests.harness.wire import Event

TEAM = """
agents:
  root:
    model: m
    sub_agents: [helper]
    toolsets: [{type: background_agents}]
  helper:
    model: m
    toolsets: [{type: shell}, {type: user_prompt}]
models: {m: {provider: anthropic, model: claude-sonnet-5-5}}
permissions: {ask: ["shell:cmd=ask*"], deny: ["shell:cmd=forbidden*"]}
"""
ALLOWED = {"allow": ["run_background_agent", "stop_background_agent"]}


@pytest.fixture
def server(tmp_path: Path, model: OfflineServer) -> Iterator[Server]:
    (tmp_path / "team.yaml").write_text(TEAM)
    built = build(make_settings(tmp_path, model.url, agents=tmp_path / "team.yaml"))
    yield built
    built.close()


@pytest.fixture
def either(tmp_path: Path, model: OfflineServer, database_url: str) -> Iterator[Server]:
    """The same on each kind of database."""
    (tmp_path / "team.yaml").write_text(TEAM)
    built = build(
        make_settings(tmp_path, model.url, agents=tmp_path / "team.yaml", database_url=database_url)
    )
    yield built
    built.close()


@pytest.fixture
def session(local: LocalClient) -> str:
    return local.new_session(permissions=ALLOWED)


def calling(name: str, **arguments: Any) -> str:
    return f"[call {name} {json.dumps(arguments)}][then][say done]"


def starting(task: str) -> str:
    return calling("run_background_agent", agent="helper", task=task)


def result_of(events: list[Event]) -> dict[str, Any]:
    (event,) = [event for event in events if event["type"] == "tool_call_response"]
    return dict(event["result"])


def use(client: LocalClient, session: str, name: str, **arguments: Any) -> dict[str, Any]:
    """Has the agent call the tool in a run of its own; the tool's result."""
    return result_of(client.say(session, calling(name, **arguments), agent="team"))


def start(client: LocalClient, session: str, task: str) -> str:
    result = use(client, session, "run_background_agent", agent="helper", task=task)
    begun = re.fullmatch(
        r"Background agent task started with ID: (agent_task_[0-9a-f-]{36})\nAgent: helper\nTask: (.*)",
        result["output"],
        re.DOTALL,
    )
    assert begun is not None, result
    assert begun[2] == task
    return begun[1]


def session_of(task_id: str) -> str:
    return task_id.removeprefix("agent_task_")


def ended(client: LocalClient, task_id: str) -> None:
    client.wait_until_free(session_of(task_id))


def said_by(client: LocalClient, session: str) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in client.messages(session)]


def test_the_tools_are_those_of_the_contract(local: LocalClient, session: str) -> None:
    events = local.say(session, calling("list_background_agents"), agent="team")
    assert result_of(events) == {"output": "Background Agent Tasks:\n\nNo background agent tasks found.\n"}
    tools = {
        tool.name: tool.definition()
        for tool in background_agents.BackgroundAgentsToolset((), _no_work()).tools()
    }
    assert {name: tool["annotations"] for name, tool in tools.items()} == {
        "run_background_agent": {"title": "Run Background Agent"},
        "list_background_agents": {"readOnlyHint": True, "title": "List Background Agents"},
        "view_background_agent": {"readOnlyHint": True, "title": "View Background Agent"},
        "stop_background_agent": {"title": "Stop Background Agent"},
    }
    assert {tool["category"] for tool in tools.values()} == {"transfer"}
    assert {tool["outputSchema"] for tool in tools.values()} == {None}
    assert tools["run_background_agent"]["parameters"]["required"] == ["agent", "task"]
    assert tools["list_background_agents"]["parameters"] is None


def _no_work() -> background_agents.BackgroundWork:
    return background_agents.NoWork()


def test_a_task_is_done_beside_the_conversation_and_found_by_later_runs(
    local: LocalClient, session: str, model: OfflineServer
) -> None:
    before = said_by(local, session)
    events = local.say(session, starting("[say helped]"), agent="team")
    task = re.findall(r"agent_task_\S+", result_of(events)["output"])[0]
    assert {event.get("session_id", session) for event in events} == {session}, (
        "nothing of it is in the stream"
    )
    ended(local, task)
    listed = use(local, session, "list_background_agents")["output"]
    blocks = (
        rf"Background Agent Tasks:\n\nID: {task}\n  Agent: helper\n  Status: completed\n  Runtime: \d+s\n\n"
    )
    assert re.fullmatch(blocks, listed)
    viewed = use(local, session, "view_background_agent", task_id=task)
    head = rf"Task ID: {task}\nAgent: helper\nStatus: completed\nRuntime: \d+s\n\n--- Output ---\nhelped"
    assert re.fullmatch(head, viewed["output"])
    assert "isError" not in viewed
    roles = [role for role, _ in said_by(local, session)[len(before) :]]
    assert roles == ["user", "assistant", "tool", "assistant"] * 3, "what the task said is not in it"
    child = local.session(session_of(task))
    assert (child["title"], child["messages"][-1]["message"]["content"]) == (
        "Background agent task",
        "helped",
    )
    assert [one["id"] for one in local.call("GET", "/api/sessions")] == [session]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"agent": " ", "task": "x"}, "agent name must not be empty"),
        ({"agent": "helper", "task": " "}, "task must not be empty"),
        ({"agent": "root", "task": "x"}, 'agent "root" is not in the sub-agents list. Available: helper'),
    ],
)
def test_a_task_that_makes_no_sense_is_refused(
    local: LocalClient, session: str, arguments: dict[str, str], words: str
) -> None:
    result = use(local, session, "run_background_agent", **arguments)
    assert result == {"output": words, "isError": True}
    assert use(local, session, "list_background_agents")["output"].endswith("tasks found.\n")


def test_a_task_that_the_database_did_not_confirm_may_have_begun(
    local: LocalClient, session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable()

    monkeypatch.setattr(local.server.store.background, "begin", silent)
    result = use(local, session, "run_background_agent", agent="helper", task="[say helped]")
    assert result["output"].startswith("It is not known whether this tool call took effect: the database")


def test_a_task_that_does_not_end_is_not_called_stopped(
    local: LocalClient, session: str, model: OfflineServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = start(local, session, "[hold 0]")
    with monkeypatch.context() as deaf:
        deaf.setattr(Work, "stop", lambda *_: None)
        result = use(local, session, "stop_background_agent", task_id=task)
    words = f"Background agent task {task} was told to stop and has not ended yet."
    assert result == {"output": words, "isError": True}
    use(local, session, "stop_background_agent", task_id=task)
    ended(local, task)


def test_tasks_that_are_not_there_or_not_at_work_are_told_apart(local: LocalClient, session: str) -> None:
    for tool in ("view_background_agent", "stop_background_agent"):
        result = use(local, session, tool, task_id="agent_task_1")
        assert result == {"output": "task not found: agent_task_1", "isError": True}
    task = start(local, session, "[say helped]")
    ended(local, task)
    result = use(local, session, "stop_background_agent", task_id=task)
    assert result == {"output": f"task {task} is not running (status: completed)", "isError": True}
    stranger = local.new_session(permissions=ALLOWED)
    result = use(local, stranger, "view_background_agent", task_id=task)
    assert result["isError"], "another session's task"


def test_a_task_outlives_its_run_shows_what_was_said_and_can_be_stopped(
    local: LocalClient, session: str, model: OfflineServer
) -> None:
    task = start(local, session, '[say first][call shell {"cmd":"true"}][then][hold 0]')
    eventually(lambda: len(said_by(local, session_of(task))) == 3, "its first turn was stored")
    viewed = use(local, session, "view_background_agent", task_id=task)["output"]
    assert "\nStatus: running\n" in viewed
    assert viewed.endswith("\n--- Output ---\nfirst\n\n[still running...]")
    stopped = use(local, session, "stop_background_agent", task_id=task)
    assert stopped == {"output": f"Background agent task {task} stopped."}
    viewed = use(local, session, "view_background_agent", task_id=task)["output"]
    assert "\nStatus: stopped\n" in viewed
    assert viewed.endswith("\n<task was stopped>")


def test_hanging_up_ends_the_run_and_not_what_it_has_started(
    local: LocalClient, session: str, model: OfflineServer
) -> None:
    text = (
        f"[call run_background_agent {json.dumps({'agent': 'helper', 'task': '[say helped]'})}][then][hold 0]"
    )
    with local.run(session, text, agent="team") as stream:
        task = re.findall(r"agent_task_\S+", stream.until("tool_call_response")["response"])[0]
    ended(local, task)
    assert said_by(local, session_of(task))[-1] == ("assistant", "helped")


def test_a_failed_task_says_why(local: LocalClient, session: str) -> None:
    task = start(local, session, "[fail 403]")
    ended(local, task)
    viewed = use(local, session, "view_background_agent", task_id=task)["output"]
    assert re.search(r"\nStatus: failed\n(.|\n)*\n<task failed>\nError: all models failed: ", viewed)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ({"cmd": "echo ran"}, "ran"),
        ({"cmd": "forbidden"}, "Tool 'shell' is denied by permissions configuration."),
        (
            {"cmd": "ask me"},
            "Tool 'shell' needs a person's approval, and nobody follows a background agent.",
        ),
    ],
    ids=["approved with the task", "denied", "to be asked"],
)
def test_nobody_is_asked_and_what_is_denied_stays_denied(
    local: LocalClient, session: str, call: dict[str, str], words: str
) -> None:
    task = start(local, session, f"[call shell {json.dumps(call)}][then][say done]")
    ended(local, task)
    assert said_by(local, session_of(task))[2] == ("tool", words)


def test_a_question_to_the_user_is_an_error_in_the_background(local: LocalClient, session: str) -> None:
    task = start(local, session, '[call user_prompt {"message":"which?"}][then][say done]')
    ended(local, task)
    words = "user_prompt tool is not available in this context (no elicitation handler configured)"
    assert said_by(local, session_of(task))[2] == ("tool", words)


def test_only_so_many_are_at_work_at_a_time(
    local: LocalClient, session: str, model: OfflineServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background_store, "MAX_RUNNING", 1)
    start(local, session, "[hold 0]")
    result = use(local, session, "run_background_agent", agent="helper", task="x")
    assert result["isError"]
    assert result["output"].startswith("maximum concurrent background agent tasks (20) reached; ")
    local.stop(session)


@pytest.mark.parametrize("end", ["stop", "delete", "drain"])
def test_they_end_with_their_session_and_with_the_server(
    server: Server, local: LocalClient, session: str, model: OfflineServer, end: str
) -> None:
    task = start(local, session, "[hold 0]")
    live = server.runtime.runs.find(session_of(task))
    assert live is not None
    match end:
        case "stop":
            local.stop(session)
        case "delete":
            local.call("DELETE", f"/api/sessions/{session}")
            local.call("GET", f"/api/sessions/{session_of(task)}", expect=404)
        case "drain":
            server.runtime.supervisor.drain(0.0)
    assert live.finished.wait(10)
    if end != "delete":
        (found,) = server.store.background.tasks(session)
        assert found.status == "stopped"


def test_a_session_is_deleted_while_its_tasks_write(either: Server) -> None:
    client = LocalClient(either)
    session = client.new_session(permissions=ALLOWED)
    tasks = [start(client, session, "[words 200][pace 500]") for _ in range(3)]
    lives = [either.runtime.runs.find(session_of(task)) for task in tasks]
    client.call("DELETE", f"/api/sessions/{session}")
    assert all(live is None or live.finished.wait(10) for live in lives)
    assert either.store.sessions.missing([session_of(task) for task in tasks]) == set(map(session_of, tasks))


def test_who_has_lost_the_baton_starts_no_task(either: Server) -> None:
    store, mine = either.store, this_process()
    store.sessions.create(Session("root", 1.0))
    run = store.claims.begin(
        "run",
        RunRequest(session_id="root", key="team"),
        agent="team/root",
        owner=mine,
    ).run

    def begin(baton: Baton, number: int) -> None:
        child = Session(f"child-{number}", 1.0, parent_id="root")
        store.background.begin(
            f"run-{number}",
            child,
            Message("user", ()),
            asked_by=baton,
            agent="team/helper",
            owner=mine,
            options={},
        )

    begin(run.baton, 1)
    store.runs.finish(run.baton, "finished")
    with pytest.raises(BatonLost):
        begin(run.baton, 2)
    assert [task.session_id for task in store.background.tasks("root")] == ["child-1"]
    assert store.sessions.missing(["child-1", "child-2"]) == {"child-2"}
