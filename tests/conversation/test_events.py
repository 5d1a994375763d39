"""The JSON of events: the contract's keys in its order, and nothing that it leaves out."""

from __future__ import annotations

import inspect

import pytest

from app.conversation import call_events, events, hook_events
from app.conversation.events import ZERO_TIME, Event

NOW = "2026-11-22T20:00:00.5Z"
KINDS = [
    kind
    for module in (events, call_events, hook_events)
    for _, kind in inspect.getmembers(module, inspect.isclass)
    if kind.__module__ == module.__name__
    if issubclass(kind, Event) and kind is not Event
]


def test_the_type_comes_first_and_the_time_last() -> None:
    body = events.StreamStarted(agent_name="root", session_id="s").payload(NOW)
    assert list(body.items()) == [
        ("type", "stream_started"),
        ("session_id", "s"),
        ("agent_name", "root"),
        ("timestamp", NOW),
    ]


def test_an_agent_without_a_name_is_left_out() -> None:
    assert "agent_name" not in events.Error(error="x").payload(NOW)


@pytest.mark.parametrize(
    "event",
    [
        events.Error(error="x"),
        events.SessionTitle(session_id="s", title="t"),
        events.MaxIterationsReached(max_iterations=2),
    ],
)
def test_some_events_have_no_time(event: Event) -> None:
    assert event.payload(NOW)["timestamp"] == ZERO_TIME


def test_only_optional_keys_are_left_out_when_they_are_empty() -> None:
    body = events.ElicitationRequest(message="", schema=None).payload(NOW)
    assert list(body) == ["type", "message", "schema", "timestamp"]
    assert events.ToolsetInfo(available_tools=0).payload(NOW)["loading"] is False
    assert events.TokenUsage(session_id="s", usage=None).payload(NOW)["usage"] is None


def test_types_are_unique() -> None:
    assert len({kind.type for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize(
    ("call", "wire"),
    [
        (
            ("a", "look", '{"x":1}'),
            {"id": "a", "type": "function", "function": {"name": "look", "arguments": '{"x":1}'}},
        ),
        (("a", "look", ""), {"id": "a", "type": "function", "function": {"name": "look"}}),
        (("", "look", ""), {"type": "function", "function": {"name": "look"}}),
    ],
)
def test_a_call_has_no_empty_keys(call: tuple[str, str, str], wire: dict[str, object]) -> None:
    assert call_events.wire_call(*call) == wire
