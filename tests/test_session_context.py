"""The parts that fill a model's window, estimated from what is sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from anthropic_standin.standin_server import OfflineServer
from app.conversation.transcript import HIDDEN
from app.factory import Server
from app.store.tables import messages
from tests.conftest import team_server
from tests.harness.in_process import LocalClient

PARTS = (
    "system_prompt",
    "tool_definitions",
    "prompt_files",
    "messages",
    "tool_results",
    "compaction_summary",
)
TEAM = """
agents:
  root:
    model: anthropic/claude-sonnet-5-5
    instruction: Be brief.
    add_prompt_files: [NOTES.md]
    toolsets: [{type: todo}, {type: think}]
    handoffs: [bare]
  bare: {model: anthropic/claude-haiku-4-5}
permissions: {allow: ["*"]}
"""


@pytest.fixture
def server(tmp_path: Path, model: OfflineServer) -> Iterator[Server]:
    (tmp_path / "NOTES.md").write_text("Remember this. " * 40)
    with team_server(tmp_path, model.url, TEAM) as built:
        yield built


def context(local: LocalClient, session: str, *, expect: int = 200) -> Any:
    return local.call("GET", f"/api/sessions/{session}/context", expect=expect)


def items(body: dict[str, Any]) -> dict[str, int]:
    assert all((body[part]["tokens"] > 0) == (body[part]["items"] > 0) for part in PARTS)
    return {part: body[part]["items"] for part in PARTS}


def test_what_was_sent_is_counted_by_what_it_is(local: LocalClient, model: OfflineServer) -> None:
    session = local.new_session()
    local.say(session, '[call think {"thought": "x"}][then][say done]', agent="team")
    body = context(local, session)
    sent = model.requests[-1]
    assert items(body) == {
        "system_prompt": len(sent["system"]) - 1,
        "tool_definitions": len(sent["tools"]),
        "prompt_files": 1,
        "messages": 3,
        "tool_results": 1,
        "compaction_summary": 0,
    }
    assert (body["model"], body["context_limit"]) == ("anthropic/claude-sonnet-5-5", 1_000_000)
    asked = len(model.requests)
    assert context(local, session) == body
    assert len(model.requests) == asked, "no model is asked"


def test_a_summary_stands_for_what_was_said_before(local: LocalClient) -> None:
    session = local.new_session()
    local.say(session, "[say one]", agent="team")
    local.call("POST", f"/api/sessions/{session}/summaries", {"summary": "It was said."}, expect=201)
    body = context(local, session)
    assert (body["compaction_summary"]["items"], body["messages"]["items"]) == (1, 0)


@pytest.mark.parametrize("partial", sorted(HIDDEN))
def test_what_the_model_is_not_shown_does_not_count(local: LocalClient, partial: str) -> None:
    session = local.new_session()
    local.say(session, "[say one]", agent="team")
    answer = (messages.c.session_id == session) & (messages.c.role == "assistant")
    with local.server.store.database.writing() as connection:
        connection.execute(update(messages).where(answer).values(partial=partial))
    assert context(local, session)["messages"]["items"] == 1


def test_a_prompt_file_that_has_changed_since_counts_as_it_was_sent(
    local: LocalClient, tmp_path: Path
) -> None:
    session = local.new_session()
    local.say(session, "[say one]", agent="team")
    before = context(local, session)
    (tmp_path / "NOTES.md").write_text("Something else.")
    after = context(local, session)
    assert (before["prompt_files"]["items"], after["prompt_files"]["items"]) == (1, 0)
    whole = [one["system_prompt"]["tokens"] + one["prompt_files"]["tokens"] for one in (before, after)]
    assert whole[0] == whole[1]


def test_the_agent_that_has_the_conversation_and_the_chosen_model_count(local: LocalClient) -> None:
    session = local.new_session(agent_model_overrides={"bare": "anthropic/claude-opus-4-5"})
    local.say(session, '[call handoff {"agent": "bare"}][then][say mine]', agent="team")
    body = context(local, session)
    assert (body["model"], body["context_limit"]) == ("anthropic/claude-opus-4-5", 200_000)
    assert body["prompt_files"]["items"] == 0


def test_before_the_first_run_there_is_no_request(local: LocalClient) -> None:
    assert context(local, local.new_session(), expect=404)["code"] == "unknown_run"
