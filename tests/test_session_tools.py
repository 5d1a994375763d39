"""What a client is shown of an agent's tools, toolsets and prompts, and a tool server that is restarted."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.agent.tools.mcp import mcp_toolset, tool_server
from app.agent.tools.mcp.mcp_toolset import McpToolset
from app.conversation.session import Session
from app.factory import Server
from app.runtime import toolboxes
from tests.conftest import children, held_by, team_server
from tests.harness.in_process import LocalClient
from tests.harness.process import eventually

ROOT = Path(__file__).parents[1]
SILENT = "while read -r line; do :; done"
HELPER = (
    f'command: sh, args: [-c, "echo x >> {{starts}}; exec {sys.executable} -m tests.agent.tools.mcp_server"], '
    f'env: {{PYTHONPATH: "{ROOT}"}}'
)
TEAM = f"""
agents:
  root:
    model: anthropic/claude-sonnet-5-5
    toolsets:
      - {{type: mcp, name: helper, {HELPER}, tools: [echo, where, hang]}}
      - {{type: todo}}
      - {{type: memory, defer: true}}
      - {{type: lsp, command: none}}
    handoffs: [silent, broken, asking, failing, plain, skilled, unused]
  silent:
    model: anthropic/claude-sonnet-5-5
    toolsets: [{{type: mcp, command: sh, args: [-c, "{SILENT}"]}}, {{type: think}}]
  broken:
    model: anthropic/claude-sonnet-5-5
    toolsets: [{{type: mcp, command: /nowhere}}, {{type: mcp, command: /nowhere}}]
  asking:
    model: anthropic/claude-sonnet-5-5
    toolsets: [{{type: mcp, name: helper, {HELPER}}}, {{type: mcp, name: again, {HELPER}}}, {{type: shell}}]
  failing:
    model: anthropic/claude-sonnet-5-5
    toolsets:
      - type: mcp
        name: late
        command: sh
        args: [-c, "test -e {{folder}}/mended && exec {sys.executable} -m tests.agent.tools.mcp_server"]
        env: {{PYTHONPATH: "{ROOT}"}}
  plain:
    model: anthropic/claude-sonnet-5-5
  skilled:
    model: anthropic/claude-sonnet-5-5
    skills: [local, {{name: count, description: Counts things, instructions: One by one.}}]
  unused:
    model: anthropic/claude-of-tests
    toolsets: [{{type: mcp, remote: {{url: "http://127.0.0.1:9/mcp", transport_type: streamable}}}}]
permissions: {{allow: ["helper_*", "add_tool"]}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tools")


@pytest.fixture(scope="module")
def starts(folder: Path) -> Path:
    """A line for each start of the tool server."""
    return folder / "starts"


@pytest.fixture(scope="module")
def server(folder: Path, stand_in: OfflineServer, starts: Path) -> Iterator[Server]:
    """Lives as long as the module, and its tool servers with it: each test leaves them as they were."""
    with team_server(
        folder, stand_in.url, TEAM.replace("{starts}", str(starts)).replace("{folder}", str(folder))
    ) as built:
        yield built
    assert not children()


@pytest.fixture(autouse=True)
def nothing_is_left_behind(server: Server) -> Iterator[None]:
    yield
    eventually(lambda: not held_by(server), f"the server has let go of {held_by(server)}")


@pytest.fixture
def local(server: Server, model: OfflineServer) -> LocalClient:
    return LocalClient(server)


def held(local: LocalClient, agent: str = "root") -> str:
    """A session that this agent has."""
    session = local.new_session()
    local.say(session, "[say hello]", agent=f"team/{agent}")
    return session


def get(local: LocalClient, session: str, path: str, *, expect: int = 200) -> Any:
    return local.call("GET", f"/api/sessions/{session}/{path}", expect=expect)


def by_name(local: LocalClient, session: str) -> dict[str, Any]:
    return {one["name"]: one for one in get(local, session, "toolsets")}


def test_tools_are_those_that_a_run_offers(local: LocalClient, model: OfflineServer) -> None:
    session = held(local)
    tools = get(local, session, "tools")
    assert [tool["name"] for tool in tools] == [tool["name"] for tool in model.requests[-1]["tools"]]
    echo = next(tool for tool in tools if tool["name"] == "helper_echo")
    assert echo["description"] == "Says it again."
    assert echo["annotations"] == {"readOnlyHint": True, "title": "Echo"}
    assert echo["parameters"]["required"] == ["text"]
    assert set(echo) == {"name", "category", "description", "parameters", "annotations", "outputSchema"}
    events = local.say(session, '[call helper_echo {"text": "a"}][then][say done]', agent="team")
    (call,) = [event for event in events if event["type"] == "tool_call"]
    assert call["tool_definition"] == echo


def test_tools_that_were_taken_from_the_shelf_are_listed(local: LocalClient) -> None:
    session = held(local)
    before = {tool["name"] for tool in get(local, session, "tools")}
    assert "add_memory" not in before
    local.say(session, '[call add_tool {"name": "add_memory"}][then][say done]', agent="team")
    assert {tool["name"] for tool in get(local, session, "tools")} == before | {"add_memory"}


def test_an_agent_without_any_has_none(local: LocalClient) -> None:
    session = held(local, "plain")
    assert get(local, session, "tools") == get(local, session, "toolsets") == []
    assert get(local, session, "mcp/prompts") == {}


def test_skills_are_listed_by_name(local: LocalClient, folder: Path) -> None:
    skill = folder / ".claude" / "skills" / "write"
    skill.mkdir(parents=True)
    (skill / "SKILL.md").write_text("---\nname: write\ndescription: Writes well\n---\nShort words.")
    (skill / "words.txt").write_text("short")
    session = held(local, "skilled")
    assert get(local, session, "skills") == {
        "write": {"name": "write", "description": "Writes well", "files": ["words.txt"]},
        "count": {"name": "count", "description": "Counts things"},
    }
    assert get(local, held(local, "plain"), "skills") == {}


def test_the_models_that_are_known_are_listed(local: LocalClient) -> None:
    models = local.call("GET", "/api/models")
    assert models == sorted(models)
    assert {"anthropic/claude-sonnet-5-5", "anthropic/claude-of-tests"} <= set(models)


def test_looking_at_toolsets_starts_none(local: LocalClient, server: Server) -> None:
    session = held(local, "plain")
    server.store.sessions.create(Session("task", parent_id=session, agent="team/unused"))
    (toolset,) = get(local, "task", "toolsets")
    assert (toolset["state"], toolset["restartable"]) == ("stopped", True)
    restart(local, "task", toolset["name"])
    assert get(local, "task", "toolsets") == [toolset]


def test_toolsets_are_shown_with_their_states(local: LocalClient) -> None:
    session = held(local)
    label = "mcp(stdio cmd=sh args_len=2)"
    assert get(local, session, "toolsets") == [
        {
            "name": "helper",
            "kind": "MCP",
            "description": label,
            "state": "ready",
            "restart_count": 0,
            "restartable": True,
        },
        {"name": "todo", "state": "ready", "restart_count": 0, "restartable": False},
        {"name": "memory", "state": "ready", "restart_count": 0, "restartable": False},
        {
            "name": "lsp",
            "state": "failed",
            "last_error": "toolset unavailable",
            "restart_count": 0,
            "restartable": False,
        },
    ]
    broken = get(local, held(local, "broken"), "toolsets")
    assert [(one["state"], one["last_error"]) for one in broken] == [("failed", "toolset unavailable")] * 2
    names = [one["name"] for one in broken]
    assert names == ["mcp(stdio cmd=/nowhere args_len=0)", "mcp(stdio cmd=/nowhere args_len=0)#1"]


def test_a_server_that_says_nothing_is_waited_for_within_a_bound(
    local: LocalClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = local.new_session()
    with local.run(session, "[say one]", agent="team/silent") as stream:
        eventually(lambda: "starting" in str(get(local, session, "toolsets")), "the server is being started")
        monkeypatch.setattr(toolboxes, "START_SECONDS", 0.01)
        assert [tool["name"] for tool in get(local, session, "tools")] == ["think"]
        refused = get(local, session, "mcp/prompts", expect=502)
        assert refused["code"] == "tool_server_failed"
        assert "does not answer" in refused["message"]
        local.stop(session)
        stream.rest()


def test_a_system_without_threads_is_said(local: LocalClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_timer: threading.Timer) -> None:
        raise RuntimeError("can't start new thread")

    session, other = held(local, "skilled"), held(local)
    monkeypatch.setattr(threading.Timer, "start", refuse)
    for one, path in ((session, "skills"), (session, "tools"), (other, "mcp/prompts")):
        assert get(local, one, path, expect=503)["code"] == "server_full"


def test_before_the_first_run_nobody_knows_the_agent(local: LocalClient) -> None:
    session = local.new_session()
    for path in ("tools", "toolsets", "skills", "mcp/prompts"):
        assert get(local, session, path, expect=404)["code"] == "unknown_run"
        assert get(local, "nobody", path, expect=404)["code"] == "unknown_session"


def restart(local: LocalClient, session: str, name: str, *, expect: int = 200) -> Any:
    return local.call("POST", f"/api/sessions/{session}/toolsets/restart", {"name": name}, expect=expect)


def test_a_server_is_restarted_and_the_next_call_finds_a_new_one(local: LocalClient, starts: Path) -> None:
    session, before = held(local), len(starts.read_text().split())
    assert restart(local, session, "helper") == {"message": "toolset restarted"}
    local.call("POST", f"/api/sessions/{session}/toolsets/helper/restart")
    eventually(lambda: len(starts.read_text().split()) > before, "it is started again")
    events = local.say(session, '[call helper_echo {"text": "still"}][then][say done]', agent="team")
    assert [event["response"] for event in events if event["type"] == "tool_call_response"] == ["still"]


def test_a_call_is_never_cut_by_a_restart(local: LocalClient, tmp_path: Path, starts: Path) -> None:
    session, other, before = held(local), local.new_session(), starts.read_text()
    mark = tmp_path / "mark"
    with local.run(other, f'[call helper_hang {{"mark": "{mark}"}}]', agent="team") as stream:
        eventually(mark.exists, "the server has the call")
        refused = restart(local, session, "helper", expect=409)
        assert refused["code"] == "toolset_busy"
        busy = restart(local, other, "helper", expect=409)
        assert (busy["code"], busy["run"]["session_id"]) == ("session_busy", other)
        assert by_name(local, session)["helper"]["state"] == "ready"
        assert starts.read_text() == before
        local.stop(other)
        stream.rest()
    local.wait_until_free(other)
    assert restart(local, other, "helper") == {"message": "toolset restarted"}


def test_a_run_that_has_no_call_there_goes_on_with_the_new_server(local: LocalClient, starts: Path) -> None:
    session, other, before = held(local), local.new_session(), len(starts.read_text().split())
    first, last = ('[call helper_echo {"text": "' + text + '"}]' for text in "ab")
    says = f'{first}[then][call shell {{"cmd": "echo c"}}][then]{last}[then][say done]'
    with local.run(other, says, agent="team/asking") as stream:
        stream.until("tool_call_confirmation")
        assert restart(local, session, "helper") == {"message": "toolset restarted"}
        local.call("POST", f"/api/sessions/{other}/resume", {"confirmation": "approve"})
        events = stream.rest()
    answers = [event["response"] for event in events if event["type"] == "tool_call_response"]
    assert (answers[0], answers[2]) == ("a", "b")
    assert len(starts.read_text().split()) > before


def test_a_restart_keeps_nobody_from_the_database(
    local: LocalClient, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, in_use, restarts = held(local), [], McpToolset.restart

    def restarting(toolset: McpToolset) -> bool:
        in_use.append(server.store.database.in_use)
        return restarts(toolset)

    monkeypatch.setattr(McpToolset, "restart", restarting)
    restart(local, session, "helper")
    assert in_use == [0]


def test_a_restart_is_in_the_trail(local: LocalClient) -> None:
    session = held(local)
    restart(local, session, "todo", expect=422)
    restart(local, session, "helper")
    entries = local.call("GET", f"/api/audit?session={session}&action=restart_toolset")["entries"]
    assert [entry["detail"] for entry in entries] == ["helper"]


def test_what_can_not_be_restarted_is_said(local: LocalClient) -> None:
    session = held(local)
    assert restart(local, session, "nothing", expect=404)["code"] == "unknown_part"
    assert restart(local, session, "todo", expect=422)["code"] == "invalid_request"
    assert restart(local, session, "", expect=422)["code"] == "invalid_request"


def test_a_failed_server_is_tried_again_at_once(local: LocalClient, folder: Path) -> None:
    session = held(local, "failing")
    assert by_name(local, session)["late"]["state"] == "failed"
    (folder / "mended").touch()
    restart(local, session, "late")
    eventually(lambda: by_name(local, session)["late"]["state"] == "ready", "it is there now")


def expand(local: LocalClient, session: str, body: Any, *, expect: int = 200) -> Any:
    return local.call("POST", f"/api/sessions/{session}/mcp/prompts/execute", body, expect=expect)


def test_prompts_are_listed_and_expanded(local: LocalClient) -> None:
    session = held(local)
    assert get(local, session, "mcp/prompts") == {
        "review": {
            "name": "review",
            "description": "Asks for a review.",
            "arguments": [
                {"name": "path", "description": "", "required": True},
                {"name": "style", "description": "", "required": False},
            ],
        },
        "wordless": {"name": "wordless", "description": "", "arguments": []},
    }
    text = "Review a.py, kind."
    asked = {"name": "review", "args": {"path": "a.py", "style": "kind"}}
    assert expand(local, session, asked) == {"text": text, "result": text}
    named = f"/api/sessions/{session}/mcp/prompts/review/execute"
    assert local.call("POST", named, asked["args"])["result"] == text
    assert local.messages(session)[-1]["content"] == "hello", "nothing was said"


def test_two_prompts_of_one_name_are_told_apart(local: LocalClient) -> None:
    session = held(local, "asking")
    assert list(get(local, session, "mcp/prompts")) == ["review", "wordless", "1/review", "1/wordless"]
    named = f"/api/sessions/{session}/mcp/prompts/1/review/execute"
    assert local.call("POST", named, {"path": "b.py"})["result"] == "Review b.py, strict."


def test_arguments_of_a_prompt_are_checked(local: LocalClient) -> None:
    session = held(local)
    for args, words in (({}, "needs the argument path"), ({"path": "a", "x": "y"}, "takes no argument x")):
        refused = expand(local, session, {"name": "review", "args": args}, expect=422)
        assert words in refused["message"]
    assert expand(local, session, {"name": "review", "args": {"path": 7}}, expect=422)
    assert expand(local, session, {"args": {}}, expect=422)
    assert expand(local, session, {"name": "none"}, expect=404)["code"] == "unknown_part"
    named = f"/api/sessions/{session}/mcp/prompts/wordless/execute"
    assert local.ask("POST", named, []).status_code == 422


def test_a_servers_refusal_is_the_requests(local: LocalClient) -> None:
    session = held(local)
    refused = expand(local, session, {"name": "wordless"}, expect=502)
    assert refused["code"] == "tool_server_failed"
    refused = get(local, held(local, "broken"), "mcp/prompts", expect=502)
    assert refused["code"] == "tool_server_failed"


def test_a_server_that_does_not_say_its_prompts_is_given_up(
    local: LocalClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = held(local)
    monkeypatch.setattr(tool_server, "_ASK_SECONDS", 0.01)
    monkeypatch.setattr(mcp_toolset, "list_prompts", lambda _connection: asyncio.sleep(600))
    refused = get(local, session, "mcp/prompts", expect=502)
    assert "does not answer" in refused["message"]
    monkeypatch.undo()
    assert "review" in get(local, session, "mcp/prompts")
