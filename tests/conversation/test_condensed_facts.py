"""A condensed stretch of an answer says the same as its pieces, from whichever event on it is read."""

from __future__ import annotations

from typing import Any, Final

import orjson
from hypothesis import given
from hypothesis import strategies as st

from app.conversation.condensed_facts import MAX_CHARACTERS, condense, facts_after, single_facts_after
from app.conversation.event_facts import EventFact, numbered_fact

Fields = dict[str, Any]

TOLD_AT: Final = "2026-11-28T10:00:00.000001Z"


def piece(text: str, *, kind: str = "agent_choice", message: str = "m1") -> Fields:
    return {"type": kind, "content": text, "message_id": message, "timestamp": TOLD_AT}


def call(kind: str, id: str, arguments: str) -> Fields:
    return {"type": kind, "tool_call": {"id": id, "function": {"arguments": arguments}}, "timestamp": TOLD_AT}


def facts(events: list[Fields], first: int = 1) -> list[bytes]:
    return [numbered_fact(number, fields) for number, fields in enumerate(events, first)]


def told(found: list[bytes]) -> list[Fields]:
    return [dict(EventFact.read(fact).fields) for fact in found]


def text_of(found: list[Fields]) -> str:
    return "".join(fields["content"] for fields in found)


TEXTS = st.text(st.characters(codec="utf-8"), max_size=6)
KINDS = st.sampled_from(["agent_choice", "agent_choice_reasoning"])
ANSWERS = st.lists(st.builds(piece, TEXTS, kind=KINDS, message=st.sampled_from(["m1", "m2"])), max_size=30)


@given(events=ANSWERS, first=st.integers(1, 10**12), data=st.data())
def test_every_cursor_gets_what_is_missing(events: list[Fields], first: int, data: st.DataObject) -> None:
    condensed = b"".join(condense(facts(events, first)))
    at = data.draw(st.integers(0, len(events)))
    rest = told(facts_after(first - 1 + at, condensed))
    assert text_of(rest) == text_of(events[at:])
    assert all(set(fields) == set(piece("")) for fields in rest)


@given(events=ANSWERS, first=st.integers(1, 10**12), data=st.data())
def test_the_pieces_come_back_one_by_one(events: list[Fields], first: int, data: st.DataObject) -> None:
    condensed = b"".join(condense(facts(events, first)))
    at = data.draw(st.integers(0, len(events)))
    expected = list(zip(range(first + at, first + len(events)), facts(events, first)[at:], strict=True))
    assert list(single_facts_after(first - 1 + at, condensed)) == expected


def test_an_answer_becomes_one_event_with_the_number_of_its_last_piece() -> None:
    (fact,) = condense(facts([piece("Hel"), piece("lo "), piece("you")], 7))
    assert EventFact.read(fact).number == 9
    assert EventFact.read(fact).fields["content"] == "Hello you"


def test_condensing_twice_changes_nothing() -> None:
    once = condense(facts([piece("Hel"), piece("lo"), call("tool_call", "c", "{}"), piece("a"), piece("b")]))
    assert condense(once) == once


def test_what_differs_in_more_than_text_stays_apart() -> None:
    events = [piece("a"), piece("b", message="m2"), piece("c", kind="agent_choice_reasoning"), piece("d")]
    assert len(condense(facts(events))) == 4


def test_pieces_on_both_sides_of_a_missing_number_stay_apart() -> None:
    assert len(condense(facts([piece("a")], 1) + facts([piece("b")], 3))) == 2


def test_no_event_is_longer_than_a_line_of_the_contract_however_it_is_escaped() -> None:
    condensed = condense(facts([piece("\x00" * 100)] * 500))
    assert max(map(len, condensed)) < 60_000
    assert len(text_of(told(condensed))) == 50_000
    assert len(condensed) == -(-50_000 // MAX_CHARACTERS)


def test_arguments_on_their_way_are_left_out_if_the_call_is_there() -> None:
    parts = [call("partial_tool_call", "c1", text) for text in ("", '{"a"', '{"a":1}')]
    whole = call("tool_call", "c1", '{"a":1}')
    cut_off = call("partial_tool_call", "c2", '{"b"')
    assert told(condense(facts([*parts, whole, cut_off]))) == [whole, cut_off]


def test_a_tools_own_lengths_are_not_taken_for_those_of_pieces() -> None:
    fields = {"type": "tool_call_response", "response": "x", "result": {"lengths": [1]}, "lengths": [1, 2]}
    (fact,) = facts([fields])
    assert facts_after(0, fact) == [fact]
    assert list(single_facts_after(0, fact)) == [(1, fact)]
    assert orjson.loads(EventFact.read(fact).body) == fields
