"""Steers that tell the agent how to take them: only the model reads the words, and they are sent only once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from tests.harness.gate import Gate
from tests.harness.in_process import LocalClient
from tests.while_it_runs.talk import queue, said_by_user

DONE = "[then][say done]"
PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def steer(client: LocalClient, session: str, messages: Any, framing: object, *, expect: int = 202) -> Any:
    body = {"messages": messages, "framing": framing}
    return client.call("POST", f"/api/sessions/{session}/steer", body, expect=expect)


def shown(model: OfflineServer) -> list[str]:
    """The texts of the last message that the model was shown."""
    blocks = model.requests[-1]["messages"][-1]["content"]
    return [block["text"] for block in blocks if block["type"] == "text"]


@pytest.mark.parametrize(
    ("framing", "words"),
    [("plain", None), ("", None), (None, None), ("instruction", "Finish"), ("replacement", "Give up")],
)
def test_the_model_is_told_how_to_take_it_and_nobody_else_is(
    here: LocalClient, there: LocalClient, model: OfflineServer, gate: Gate, framing: str, words: str | None
) -> None:
    session = here.new_session(tools_approved=True)
    with here.run(session, f"{gate.call}{DONE}", agent="tools") as stream:
        gate.wait_until_reached()
        answer = steer(there, session, [{"content": "left"}], framing)
        assert answer["messages"][0]["content"] == "left"
        assert queue(here, session) == ["left"]
        gate.open()
        events = stream.rest()
    told = shown(model)
    assert told[-1] == "left"
    assert ("<system-reminder>" in json.dumps(told)) is (words is not None)
    assert words is None or words in told[-2]
    said = [event for event in events if event["type"] == "user_message"][-1]
    assert (said["message"], said.get("multi_content")) == ("left", None)
    assert said_by_user(here, session)[-1] == "left"


def test_a_message_that_waits_keeps_its_framing_when_it_is_changed(
    local: LocalClient, model: OfflineServer, gate: Gate
) -> None:
    session = local.new_session(tools_approved=True)
    with local.run(session, f"{gate.call}{DONE}", agent="tools") as stream:
        gate.wait_until_reached()
        [message] = steer(local, session, [{"content": "left"}], "replacement")["messages"]
        path = f"/api/sessions/{session}/queue/{message['id']}"
        changed = local.call("PATCH", path, {"messages": [{"content": "right"}]})
        assert changed["content"] == "right"
        gate.open()
        stream.rest()
    reminder, words = shown(model)[-2:]
    assert ("Give up" in reminder, words) == (True, "right")


def test_a_picture_can_have_a_framing_too(local: LocalClient, model: OfflineServer, gate: Gate) -> None:
    session = local.new_session(tools_approved=True)
    url = f"data:image/png;base64,{PICTURE}"
    part = {"type": "image_url", "image_url": {"url": url}}
    with local.run(session, f"{gate.call}{DONE}", agent="tools") as stream:
        gate.wait_until_reached()
        steer(local, session, [{"multi_content": [part]}], "instruction")
        gate.open()
        events = stream.rest()
    event = [event for event in events if event["type"] == "user_message"][-1]
    assert (event["message"], event["multi_content"]) == ("", [part])
    assert local.messages(session)[-2]["multi_content"] == [part]
    assert "Finish" in shown(model)[-1]


def test_what_was_steered_in_is_known_when_a_client_sends_all_that_was_said(
    local: LocalClient, gate: Gate
) -> None:
    session = local.new_session(tools_approved=True)
    first = f"{gate.call}{DONE}"
    with local.run(session, first, agent="tools") as stream:
        gate.wait_until_reached()
        steer(local, session, [{"content": "left"}], "instruction")
        gate.open()
        stream.rest()
    with local.run(session, first, "left", "[say new]", agent="tools") as stream:
        stream.rest()
    assert said_by_user(local, session) == [first, "left", "[say new]"]


@pytest.mark.parametrize(("framing", "status"), [("loud", 400), ("Plain", 400), (5, 422), (["plain"], 422)])
def test_any_other_framing_is_refused_and_leaves_nothing(
    local: LocalClient, gate: Gate, framing: object, status: int
) -> None:
    session = local.new_session(tools_approved=True)
    with local.run(session, f"{gate.call}{DONE}", agent="tools") as stream:
        gate.wait_until_reached()
        refused = steer(local, session, [{"content": "left"}], framing, expect=status)
        assert refused["code"] == "invalid_request"
        assert queue(local, session) == []
        gate.open()
        stream.rest()
