"""What a page needs to act on one message: its id, what it may hold, and whom it goes to."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import server_of
from tests.harness.in_process import LocalClient
from tests.test_sequences import call_text

TEAM = """
agents:
  boss:
    model: anthropic/claude-haiku-4-5
    welcome_message: Ask me anything.
    toolsets: [{type: think}]
    commands:
      tour: Show me round.
      review: {description: Looks at a change, instruction: Review the change.}
  reader: {model: anthropic/claude-haiku-4-5, description: d}
"""
THINK = call_text("think", thought="hm")


server = server_of(TEAM)


def named(local: LocalClient, session: str) -> list[tuple[str, str]]:
    """The ids and the words of the messages that the history shows."""
    history = local.call("GET", f"/api/sessions/{session}/history")["history"]
    messages = [entry["message"] for entry in history if entry["type"] == "message"]
    return [(message["message_id"], message["content"]) for message in messages]


def undo(local: LocalClient, session: str, message_id: Any, *, expect: int = 200) -> Any:
    return local.call("POST", f"/api/sessions/{session}/undo", {"message_id": message_id}, expect=expect)


def branch(local: LocalClient, session: str, message_id: Any, *, expect: int = 201) -> Any:
    return local.call("POST", f"/api/sessions/{session}/branches", {"message_id": message_id}, expect=expect)


@pytest.fixture
def talk(local: LocalClient) -> str:
    session = local.new_session(tools_approved=True)
    local.say(session, "[say one]", agent="team")
    local.say(session, f"{THINK}[then][say two]", agent="team")
    local.say(session, "[say three]", agent="team")
    return session


def test_the_history_names_messages_as_snapshots_do(local: LocalClient, talk: str) -> None:
    snapshot = local.call("GET", f"/api/sessions/{talk}/snapshot")["messages"]
    assert [name for name, _ in named(local, talk)] == [item["message"]["message_id"] for item in snapshot]


def test_a_message_is_taken_back_by_its_id_once(local: LocalClient, talk: str) -> None:
    names = named(local, talk)
    second = names[2][0]
    assert undo(local, talk, second) == {"status": "undone", "num_messages": 2, "removed": 6}
    assert named(local, talk) == names[:2]
    assert undo(local, talk, second, expect=404)["code"] == "unknown_message"
    assert undo(local, talk, names[1][0], expect=400)["code"] == "invalid_request"
    assert named(local, talk) == names[:2]


def test_a_branch_ends_with_the_message_and_the_results_of_its_calls(local: LocalClient, talk: str) -> None:
    names = named(local, talk)
    for place, length in ((0, 1), (1, 2), (3, 5), (5, 6), (7, 8)):
        made = branch(local, talk, names[place][0])["session"]
        assert [words for _, words in named(local, made["id"])] == [words for _, words in names[:length]]
    assert branch(local, talk, "nobody-said-it", expect=404)["code"] == "unknown_message"


def test_an_agent_introduces_itself_before_a_session_begins(local: LocalClient) -> None:
    shown = local.call("GET", "/api/agents/team/info")
    assert shown["agent"]["welcome_message"] == "Ask me anything."
    assert shown["agent"]["model"] == "anthropic/claude-haiku-4-5"
    assert shown["commands"]["tour"]["instruction"] == "Show me round."
    assert shown["commands"]["review"]["description"] == "Looks at a change"
    assert local.call("GET", "/api/agents/nobody/info", expect=404)["code"] == "unknown_agent"


def test_the_limits_are_those_that_are_kept(local: LocalClient) -> None:
    limits = local.call("GET", "/api/limits")
    longest = limits["max_text_characters"]
    session = local.new_session()
    address = f"/api/sessions/{session}/messages"
    for length, status in ((longest, 201), (longest + 1, 422)):
        said = {"message": {"role": "user", "content": "x" * length}}
        local.call("POST", address, said, expect=status)
    assert limits["pictures"]["types"] == ["image/jpeg", "image/png", "image/gif", "image/webp"]
    assert limits["pictures"]["max_count"] == 40
    assert limits["max_body_bytes"] > limits["pictures"]["max_characters"]
