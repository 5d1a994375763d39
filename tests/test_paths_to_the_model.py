"""F22: a history that another program broke is healed on every path to the model: turn, title, delegated task,
and the agent that takes over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.conversation.session import Session
from app.conversation.transcript import Message
from app.factory import Server, build
from app.offline.server import OfflineServer
from app.store.session_store import append_messages
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
  helper:
    model: anthropic/claude-haiku-5-5
    description: Helps
    instruction: You help.
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
    ],
    ids=["turn and title", "delegated task", "hand-off"],
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
