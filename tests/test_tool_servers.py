"""Tool servers behind a whole Baton: questions over HTTP, restarts of nothing, and servers that hang."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from tests.agent.tools.web_site import WebSite, running
from tests.conftest import children, make_settings
from tests.harness.in_process import LocalClient
from tests.harness.process import eventually

ROOT = Path(__file__).parents[1]
PLAIN = "agents: {root: {model: anthropic/claude-sonnet-5-5, description: d, instruction: Be brief.}}"
SERVED = f"""
agents:
  root:
    model: anthropic/claude-sonnet-5-5
    description: d
    instruction: Be brief.
    toolsets:
      - type: mcp
        command: {sys.executable}
        args: [-m, tests.agent.tools.mcp_server]
        env: {{PYTHONPATH: "{ROOT}"}}
        tools: [ask, echo, die, hang]
      - type: shell
      - {{type: api, api_config: {{name: pay, method: POST, endpoint: "API/pay"}}}}
permissions: {{allow: ["*"]}}
"""
UNKNOWN = "It is not known whether this tool call took effect: "
HANGING = SERVED.replace(f"command: {sys.executable}", "command: sh").replace(
    "[-m, tests.agent.tools.mcp_server]", '[-c, "while read -r line; do :; done"]'
)


@pytest.fixture
def client(tmp_path: Path, model: OfflineServer, site: WebSite) -> Iterator[LocalClient]:
    agents = tmp_path / "agents"
    agents.mkdir()
    for name, text in (("plain", PLAIN), ("served", SERVED), ("hanging", HANGING)):
        (agents / f"{name}.yaml").write_text(text.replace("API", site.url("")))
    server: Server = build(make_settings(tmp_path, model.url, agents=agents))
    yield LocalClient(server)
    server.close()
    assert not children()


@pytest.fixture
def site() -> Iterator[WebSite]:
    """Takes payments, and confirms none of them until the test is over."""
    over = threading.Event()

    def pay(_request: BaseHTTPRequestHandler) -> None:
        over.wait(60)

    with running() as site:
        site.pages["/pay"] = pay
        yield site
        over.set()


def test_a_servers_question_is_answered_over_http_and_its_result_comes_through(client: LocalClient) -> None:
    session = client.new_session()
    with client.run(session, "[call ask {}] [then] [say painted]", agent="served") as stream:
        question = stream.until("elicitation_request")
        assert question["message"] == "Which colour?"
        assert question["mode"] == "form"
        assert question["schema"]["required"] == ["colour"]
        client.elicit(session, "accept", {"colour": "red"})
        response = stream.until("tool_call_response")
        assert response["response"] == "painted red"
        assert response["result"]["structuredContent"] == {"result": "painted red"}
        assert response["tool_definition"]["category"] == ""
        stream.rest()
    assert client.messages(session)[-1]["content"] == "painted"

    # the server stays for the next run, and a cancel ends a question that nobody answers
    with client.run(session, "[call ask {}]", agent="served") as stream:
        stream.until("elicitation_request")
        client.stop(session)
        stream.rest()
    client.wait_until_free(session)
    events = client.say(session, '[call echo {"text": "still here"}] [then] [say done]', agent="served")
    assert [event["response"] for event in events if event["type"] == "tool_call_response"] == ["still here"]


@pytest.mark.parametrize(
    ("call", "state", "words"),
    [
        ('hang {"mark": "MARK"}', "unknown", UNKNOWN),
        ("pay {}", "unknown", UNKNOWN),
        ('shell {"cmd": "echo begun; touch MARK; sleep 60"}', "cancelled", "Output: begun"),
    ],
)
def test_a_run_is_stopped_while_the_other_side_has_the_call(
    client: LocalClient, site: WebSite, tmp_path: Path, call: str, state: str, words: str
) -> None:
    session, mark = client.new_session(), tmp_path / "mark"
    with client.run(session, f"[call {call.replace('MARK', str(mark))}]", agent="served") as stream:
        eventually(lambda: mark.exists() or "/pay" in site.asked, "the other side has it")
        client.stop(session)
        events = stream.rest()
    client.wait_until_free(session)
    (run,) = client.call("GET", "/api/runs?status=cancelled")
    assert run["session_id"] == session
    check_ending(client, session, events, state, words)


def test_a_server_that_dies_in_mid_call_leaves_its_outcome_unknown(client: LocalClient) -> None:
    session = client.new_session()
    events = client.say(session, "[call die {}] [then] [say done]", agent="served")
    check_ending(client, session, events, "unknown", UNKNOWN)


def check_ending(
    client: LocalClient, session: str, events: list[dict[str, Any]], state: str, words: str
) -> None:
    """The ledger, the readers and the model are told the same of the only call."""
    (call,) = client.server.store.journal.ledger(session).values()
    assert call.state == state
    (response,) = [event for event in events if event["type"] == "tool_call_response"]
    assert words in response["response"]
    assert response["result"]["isError"]
    (row,) = [row for row in client.server.store.sessions.messages(session) if row.role == "tool"]
    assert row.content[0]["is_error"]
    assert words in str(row.content[0]["content"])


def test_a_server_that_hangs_holds_up_nobody_else_and_can_be_cancelled(client: LocalClient) -> None:
    stuck, other = client.new_session(), client.new_session()
    with client.run(stuck, "Hi", agent="hanging") as stream:
        stream.until("team_info")
        assert client.say(other, "[say hello]")[-1]["type"] == "stream_stopped"
        client.stop(stuck)
        stream.rest()
    client.wait_until_free(stuck)
    eventually(lambda: not client.server.runtime.runs.all(), "nobody waits any more")


def test_deferred_tools_and_skills_come_with_the_agent(tmp_path: Path, model: OfflineServer) -> None:
    agents = tmp_path / "agents"
    agents.mkdir()
    text = PLAIN.replace("Be brief.}", "Be brief., skills: true, toolsets: [{type: todo, defer: true}]}")
    (agents / "plain.yaml").write_text(text)
    skill = tmp_path / ".claude" / "skills" / "paint" / "SKILL.md"
    skill.parent.mkdir(parents=True)
    skill.write_text("---\ndescription: Paints\n---\nUse red.")
    server = build(make_settings(tmp_path, model.url, agents=agents, environment={"HOME": str(tmp_path)}))
    client = LocalClient(server)
    session = client.new_session(working_dir=str(tmp_path))
    said = (
        '[call read_skill {"name": "paint"}] [then] [call add_tool {"name": "create_todo"}] [then] [say done]'
    )
    events = client.say(session, said)
    answers = [event["response"] for event in events if event["type"] == "tool_call_response"]
    assert answers[0].endswith("Use red.")
    assert answers[1].startswith("Tool 'create_todo' has been activated")
    again = client.say(session, '[call create_todo {"description": "A"}] [then] [say done]')
    assert any('"todo_1"' in event.get("response", "") for event in again)
    server.close()


def test_a_shared_todo_list_is_seen_by_sub_agents_and_kept_for_later_runs(
    tmp_path: Path, model: OfflineServer
) -> None:
    agents = tmp_path / "agents"
    agents.mkdir()
    (agents / "team.yaml").write_text(
        """
agents:
  root: {model: m, sub_agents: [helper], toolsets: [{type: todo, shared: true}]}
  helper: {model: m, toolsets: [{type: todo, shared: true}]}
models: {m: {provider: anthropic, model: claude-sonnet-5-5}}
"""
    )
    server = build(make_settings(tmp_path, model.url, agents=agents))
    client = LocalClient(server)
    session = client.new_session()
    task = '{"agent": "helper", "task": "[call list_todos {}] [then] [call create_todo {\\"description\\": \\"B\\"}]'
    said = (
        f'[call create_todo {{"description": "A"}}] [then] [call transfer_task {task}"}}] [then] [say done]'
    )
    events = client.say(session, said, agent="team")
    answers = [event["response"] for event in events if event["type"] == "tool_call_response"]
    assert any('"todos":[{"id":"todo_1","description":"A"' in answer for answer in answers), answers
    assert any('"todo_2"' in answer for answer in answers)
    again = client.say(session, "[call list_todos {}] [then] [say done]", agent="team")
    assert any('"description":"B"' in event.get("response", "") for event in again)
    server.close()


def test_headers_of_the_request_reach_the_apis_that_want_them(tmp_path: Path, model: OfflineServer) -> None:
    agents = tmp_path / "agents"
    agents.mkdir()
    with running() as site:
        site.add("/who", "fine")
        api = f'{{name: who, method: GET, endpoint: "{site.url("/who")}", headers: {{X-For: "${{headers.X-User}}"}}}}'
        text = PLAIN.replace("Be brief.}", f"Be brief., toolsets: [{{type: api, api_config: {api}}}]}}")
        (agents / "plain.yaml").write_text(text)
        server = build(make_settings(tmp_path, model.url, agents=agents))
        client = LocalClient(server)
        session = client.new_session()
        with client.run(session, "[call who {}] [then] [say done]", headers={"X-User": "ann"}) as stream:
            assert stream.until("tool_call_response")["response"] == "fine"
            stream.rest()
        client.say(session, "[call who {}] [then] [say done]")
        assert [headers["X-For"] for _, _, headers, _ in site.requests] == ["ann", ""]
        server.close()
