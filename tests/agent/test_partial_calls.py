"""Readers see a call grow, at a cost that stays in proportion to its length."""

from __future__ import annotations

import json

from app.agent.model_client import CallDelta
from app.agent.partial_calls import MAX_CHARACTERS, PartialCalls
from app.conversation.call_events import PartialToolCall


def grow(*pieces: str, call_id: str = "a", partials: PartialCalls | None = None) -> list[PartialToolCall]:
    partials = partials or PartialCalls("root", lambda name: {"name": name})
    return [event for piece in pieces for event in partials.add(CallDelta(call_id, "look", piece))]


def arguments(events: list[PartialToolCall]) -> list[str]:
    return [event.tool_call["function"].get("arguments", "") for event in events]


def test_a_call_is_told_as_soon_as_its_name_is_known() -> None:
    [event] = grow("")
    assert event.tool_call == {"id": "a", "type": "function", "function": {"name": "look"}}
    assert event.tool_definition == {"name": "look"}
    assert event.agent_name == "root"


def test_arguments_are_told_cumulatively_from_the_first_piece_on() -> None:
    assert arguments(grow("", '{"path"', ':"' + "x" * 40)) == ["", '{"path"', '{"path":"' + "x" * 40]


def test_small_pieces_wait_until_there_is_more_to_see() -> None:
    assert arguments(grow("", "a", "b", "c")) == ["", "a"]


def test_a_long_call_costs_in_proportion_to_its_length() -> None:
    events = grow("", *["x"] * 10_000)
    assert sum(len(text) for text in arguments(events)) < 10 * 10_000
    assert len(events) < 60
    assert len(arguments(events)[-1]) > 7_000


def test_beyond_a_bound_nothing_is_told_until_the_call_is_made() -> None:
    events = grow("", *["x" * 1000] * 100)
    assert max(len(text) for text in arguments(events)) <= MAX_CHARACTERS


def test_calls_grow_independently_of_each_other() -> None:
    partials = PartialCalls("root", lambda name: {"name": name})
    grow("", "{", call_id="a", partials=partials)
    events = grow("", '{"b"', call_id="b", partials=partials)
    assert [json.dumps(text) for text in arguments(events)] == ['""', '"{\\"b\\""']
    assert {event.tool_call["id"] for event in events} == {"b"}
