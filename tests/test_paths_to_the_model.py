"""F22: a history that another program broke is healed on every path to the model: turn, title, delegated task, the
agent that takes over, the model that steps in, a task in the background, and the summary of a compaction. F26, F28:
the model's own bad habits are healed too, wherever they show."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.agent import model_catalogue
from app.conversation.session import Session
from app.conversation.transcript import Message
from app.factory import Server, build
from app.store.session_rows import append_messages
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient
from tests.harness.process import eventually

TEAM = """
agents:
  root:
    model: anthropic/claude-sonnet-5-5
    description: Leads
    instruction: You lead.
    sub_agents: [helper]
    handoffs: [successor]
    fallback: {models: [anthropic/claude-haiku-4-5], retries: -1}
  helper:
    model: anthropic/claude-haiku-5-5
    description: Helps
    instruction: You help.
  leader:
    model: anthropic/claude-opus-5-5
    sub_agents: [helper]
    toolsets: [{type: background_agents}]
  successor:
    model: anthropic/claude-opus-5-5
    description: Goes on
    instruction: You go on.
"""

BROKEN: list[dict[str, Any]] = [
    {"type": "tool_use", "id": "toolu_1", "name": "gone", "input": {}},
    {"type": "tool_use", "id": "toolu_1", "name": "gone", "input": {}},
]
"""A call without a result, and another one with the same id."""


@pytest.fixture
def server(tmp_path: Path, model: OfflineServer) -> Iterator[Server]:
    (tmp_path / "team.yaml").write_text(TEAM)
    built = build(make_settings(tmp_path, model.url, agents=tmp_path / "team.yaml", titles=True))
    yield built
    built.close()


@pytest.fixture
def session(server: Server) -> str:
    """A session that another program left broken."""
    made = Session("4b3f1c2e-aaaa-4d8e-9a39-6b7c7a2f7a10", 1.0)
    server.store.sessions.create(made)
    rows = [
        Message("user", ({"type": "text", "text": "[say hello]"},), created_at=1.0),
        Message("assistant", tuple(BROKEN), agent="root", created_at=2.0),
    ]
    with server.store.database.writing() as connection:
        append_messages(connection, made.id, rows, None)
    return made.id


@pytest.mark.parametrize(
    "text",
    [
        "[say hello]",
        '[call transfer_task {"agent":"helper","task":"[say helped]","expected_output":""}][then][say done]',
        '[call handoff {"agent":"successor"}][then][say taken over]',
        "[fail 529 1][say stepped in]",
    ],
    ids=["turn and title", "delegated task", "hand-off", "fallback"],
)
def test_f22_every_path_to_the_model_sends_what_the_api_accepts(
    server: Server, session: str, model: OfflineServer, text: str
) -> None:
    client = LocalClient(server)
    first = client.say(session, text, agent="team")
    again = client.say(session, "[say and again]", agent="team")
    assert [event for event in (*first, *again) if event["type"] == "error"] == []
    eventually(lambda: client.session(session)["title"], "the session got its title")
    assert model.violations == []


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """All models have a window that is full after a few words."""
    small = {name: replace(facts, window=900) for name, facts in model_catalogue._MODELS.items()}
    monkeypatch.setattr(model_catalogue, "_MODELS", small)


HABITS = {
    "a broken past": "[words 700]",
    "f26 ids used twice": '[call nope {"a":1}][call nope {"a":2}][same-ids][then][words 700]',
    "f26 empty ids": '[call nope {"a":1}][call nope {"a":2}][empty-id][then][words 700]',
    "f28 a blank answer": "[words 700][blank]",
    "f29 a call that is cut": '[words 700][call nope {"cmd":"a long argument"}][truncate]',
    "thinking": '[think][call nope {"a":1}][then][think][words 700]',
}


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("habit", HABITS.values(), ids=HABITS.keys())
@pytest.mark.parametrize("then", ["[say hello]", "[fail 529 1][say hello]"], ids=["same model", "fallback"])
def test_f22_f24_f26_f28_a_compaction_and_what_follows_it_send_what_the_api_accepts(
    server: Server, session: str, model: OfflineServer, habit: str, then: str
) -> None:
    client = LocalClient(server)
    client.call("POST", f"/api/sessions/{session}/thinking/toggle")
    client.say(session, habit, agent="team")
    events = client.say(session, then, agent="team")
    assert [event["type"] for event in events].count("session_summary") == 1
    last = client.say(session, '[call nope {"a":3}][same-ids][then][say and again]', agent="team")
    assert [event for event in (*events, *last) if event["type"] == "error"] == []
    assert model.violations == []


@pytest.mark.parametrize("habit", HABITS.values(), ids=HABITS.keys())
def test_f22_f24_f26_f28_a_task_in_the_background_sends_what_the_api_accepts(
    server: Server, session: str, model: OfflineServer, habit: str
) -> None:
    client = LocalClient(server)
    client.call("POST", f"/api/sessions/{session}/thinking/toggle")
    client.call("POST", f"/api/sessions/{session}/tools/toggle")
    arguments = json.dumps({"agent": "helper", "task": f"{habit}[fail 529 1]"})
    client.say(session, f"[call run_background_agent {arguments}][then][say done]", agent="team/leader")
    (task,) = server.store.background.tasks(session)
    client.wait_until_free(task.session_id)
    again = client.say(
        task.session_id, '[call nope {"a":3}][same-ids][then][say and again]', agent="team/helper"
    )
    assert [event for event in again if event["type"] == "error"] == []
    assert [found.status for found in server.store.background.tasks(session)] == ["completed"]
    assert model.violations == []
