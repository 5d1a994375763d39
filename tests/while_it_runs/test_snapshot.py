"""A snapshot and the events since: together they are all there is, at whatever moment it is taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from tests.harness.gate import Gate
from tests.harness.in_process import LocalClient
from tests.harness.wire import Event, text_of


def snapshot(client: LocalClient, session: str) -> dict[str, Any]:
    return dict(client.call("GET", f"/api/sessions/{session}/snapshot"))


def said(body: dict[str, Any]) -> list[str]:
    return [item["message"]["content"] for item in body["messages"] if item["message"]["role"] == "assistant"]


def followed(client: LocalClient, body: dict[str, Any]) -> Sequence[Event]:
    """The events after the snapshot, up to the end of the run."""
    with client.follow(body["id"], since=body["last_event_seq"]) as stream:
        stream.until("stream_stopped")
        return stream.events


def test_a_new_session_has_all_the_keys(local: LocalClient) -> None:
    session = local.new_session()
    body = snapshot(local, session)
    assert set(body) == {
        *("id", "title", "messages", "created_at", "tools_approved", "thinking"),
        *("input_tokens", "output_tokens", "cost", "streaming", "agent", "last_event_seq"),
    }
    assert body["messages"] == []
    assert (body["streaming"], body["agent"], body["cost"]) == (False, "", 0.0)
    with local.run(session, "[say one]") as stream:
        stream.rest()
    assert stream.ids[0] == body["last_event_seq"] + 1, "the first event is the one after it"


def test_after_a_run_nothing_is_left_to_follow(here: LocalClient, there: LocalClient) -> None:
    session = here.new_session()
    with here.run(session, "[say one]") as stream:
        stream.rest()
    for client in (here, there):
        body = snapshot(client, session)
        assert body["last_event_seq"] == stream.ids[-1]
        assert (body["streaming"], body["agent"]) == (False, "root")
        assert said(body) == ["one"]
        assert body["cost"] > 0


@pytest.mark.parametrize("where", ["here", "there"])
def test_what_the_agent_is_saying_just_then_is_told_by_the_events_since(
    here: LocalClient, there: LocalClient, model: OfflineServer, where: str
) -> None:
    session = here.new_session(tools_approved=True)
    reader = {"here": here, "there": there}[where]
    first = '[call shell {"cmd":"echo x"}][then]'
    with here.run(session, first + "[hold 2][say one two three]", agent="tools") as stream:
        while text_of(stream.events).strip() != "one two":
            next(iter(stream))
        body = snapshot(reader, session)
        assert body["streaming"] is True
        assert body["run"]["status"] == "running"
        model.release()
        events = followed(reader, body)
        stream.rest()
    assert "one" not in "".join(said(body)), "it is not whole"
    assert text_of(events) == "one two three"
    if where == "here":  # elsewhere, what was told a moment ago may come again
        told = [event["type"] for event in events]
        assert "tool_call_response" not in told
        assert len(body["messages"]) == 3


def test_between_call_and_result_it_goes_on_with_the_result(local: LocalClient, gate: Gate) -> None:
    session = local.new_session(tools_approved=True)
    with local.run(session, f"[say look]{gate.call}[then][say done]", agent="tools") as stream:
        gate.wait_until_reached()
        body = snapshot(local, session)
        gate.open("the result")
        events = followed(local, body)
        stream.rest()
    assert said(body) == ["look"]
    assert text_of(events) == "done"
    told = [event["type"] for event in events if event["type"] != "tool_call_output"]
    assert told[:2] == ["tool_call_response", "message_added"]


def test_there_is_no_snapshot_of_what_is_not_there(local: LocalClient) -> None:
    refused = local.call("GET", "/api/sessions/nobody/snapshot", expect=404)
    assert (refused["code"], refused["message"]) == (
        "unknown_session",
        "session not found: session not found",
    )
