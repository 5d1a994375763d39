"""Behaviour on which clients and agent files of docker-agent count, beyond the events of a single agent."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.errors import StoreUnavailable
from app.factory import Server, build
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient
from tests.harness.wire import Event, text_of

TEAM = """
agents:
  root:
    model: m
    description: Leads
    sub_agents: [helper]
    handoffs: [successor]
  helper: {model: m, description: Helps, toolsets: [{type: shell}]}
  successor: {model: m, description: Goes on}
models: {m: {provider: anthropic, model: claude-sonnet-5-5}}
"""

PIXEL = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


@pytest.fixture
def agents(tmp_path: Path) -> Path:
    directory = tmp_path / "agents"
    directory.mkdir()
    (directory / "team.yaml").write_text(TEAM)
    return directory


@pytest.fixture
def client(tmp_path: Path, agents: Path, model: OfflineServer) -> Iterator[LocalClient]:
    server = build(make_settings(tmp_path, model.url, agents=agents))
    yield LocalClient(server)
    server.close()


def call(name: str, **arguments: Any) -> str:
    return f"[call {name} {json.dumps(arguments)}]"


def delegated(task: str) -> str:
    return call("transfer_task", agent="helper", task=task, expected_output="") + "[then][say done]"


def responses(events: list[Event]) -> list[str]:
    return [event["response"] for event in events if event["type"] == "tool_call_response"]


def speaker(events: list[Event]) -> str:
    return next(str(event["agent_name"]) for event in events if event["type"] == "agent_choice")


# ---- lists and messages


def test_no_agents_are_an_empty_list_to_the_byte(tmp_path: Path, agents: Path) -> None:
    (agents / "team.yaml").unlink()
    server = build(make_settings(tmp_path, "", agents=agents))
    response = LocalClient(server).ask("GET", "/api/agents")
    assert (response.status_code, response.get_data()) == (200, b"[]\n")
    server.close()


def test_a_picture_is_shown_as_it_was_posted_and_the_words_beside_it_once_more(server: Server) -> None:
    client = LocalClient(server)
    session = client.new_session()
    parts = [{"type": "text", "text": "[say seen]"}, {"type": "image_url", "image_url": {"url": PIXEL}}]
    client.ask("POST", f"/api/sessions/{session}/agent/plain", [{"multi_content": parts}]).get_data()
    client.wait_until_free(session)
    message = client.messages(session)[0]
    assert message["content"] == "[say seen]"
    assert message["multi_content"] == parts


# ---- tasks given away


def test_a_task_for_somebody_else_than_a_sub_agent_is_refused_with_those_there_are(
    client: LocalClient,
) -> None:
    session = client.new_session()
    asked = call("transfer_task", agent="successor", task="x", expected_output="") + "[then][say done]"
    events = client.say(session, asked, agent="team")
    (refusal,) = responses(events)
    assert "successor" in refusal
    assert refusal.endswith("Available agent IDs are: helper")
    assert {event["agent_name"] for event in events if event["type"] == "agent_choice"} == {"root"}


def test_a_task_that_fails_has_an_end_and_is_an_answer_to_the_call(client: LocalClient) -> None:
    session = client.new_session()
    events = client.say(session, delegated("[fail 403]"), agent="team")
    begun = Counter(event["session_id"] for event in events if event["type"] == "stream_started")
    ended = Counter(event["session_id"] for event in events if event["type"] == "stream_stopped")
    assert begun == ended
    assert len(begun) == 2
    assert responses(events)[0].startswith("Error calling tool: ")
    assert text_of([event for event in events if event.get("agent_name") == "root"]) == "done"
    (listed,) = client.call("GET", "/api/sessions")
    assert listed["id"] == session, "a task's session is nobody's to choose"


def test_what_a_session_denies_is_denied_in_the_tasks_it_gives_away(client: LocalClient) -> None:
    session = client.new_session(permissions={"deny": ["shell"]})
    events = client.say(session, delegated(call("shell", cmd="true") + "[then][say tried]"), agent="team")
    assert responses(events)[0] == "Tool 'shell' is denied by session permissions."


# ---- handing the conversation over


def test_who_was_given_a_conversation_keeps_it_until_a_request_names_somebody(client: LocalClient) -> None:
    session = client.new_session()
    events = client.say(session, call("handoff", agent="successor") + "[then][say taken]", agent="team")
    assert speaker(events) == "successor"
    told = [event["agent_name"] for event in events if event["type"] == "agent_info"]
    assert told == ["root", "successor"], "readers are told who has it now"
    assert (events[-1]["type"], events[-1]["agent_name"]) == ("stream_stopped", "successor")
    (run,) = client.call("GET", f"/api/runs?session={session}")
    assert run["agent"] == "team/successor"
    assert speaker(client.say(session, "[say still me]", agent="team")) == "successor"
    assert speaker(client.say(session, "[say me]", agent="team/helper")) == "helper"


def test_a_conversation_whose_agent_is_gone_goes_on_with_the_default(
    client: LocalClient, agents: Path
) -> None:
    session = client.new_session()
    client.say(session, call("handoff", agent="successor") + "[then][say taken]", agent="team")
    (agents / "team.yaml").write_text(
        "agents: {first: {model: m}}\nmodels: {m: {provider: anthropic, model: claude-sonnet-5-5}}"
    )
    assert speaker(client.say(session, "[say here]", agent="team")) == "first"


# ---- the database


def test_a_database_that_can_not_be_opened_stays_as_it_is(tmp_path: Path, agents: Path) -> None:
    file = tmp_path / "baton.db"
    file.write_bytes(b"This is no database. " * 100)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    with pytest.raises(StoreUnavailable):
        build(make_settings(tmp_path, "", agents=agents))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before
