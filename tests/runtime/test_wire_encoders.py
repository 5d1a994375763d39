"""Facts in the form of each generation, and what a reader gets that has missed how a call began."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.agent.model_client import CallDelta
from app.agent.partial_calls import PartialCalls
from app.conversation import events
from app.conversation.event_facts import EventFact
from app.event_encoder import MAX_EVENT_BYTES, EventEncoder
from app.runtime.streams.event_log import EndMark, EventLog, EventLogs
from app.runtime.streams.event_reader import EventReader
from app.runtime.streams.frame_encoder import FrameEncoder
from app.sse_format import numbered, split, unnumbered
from app.store.store import Store
from app.web.wire_encoders import LATER, MARCH
from tests.store.actors import new_session

BOTH = pytest.mark.parametrize("encoder", [LATER, MARCH], ids=["later", "march"])
DEFINITION = {"name": "write", "parameters": {"type": "object"}}


def partials(*pieces: str, call: str = "c", definition: dict[str, Any] | None = None) -> list[bytes]:
    """The payloads of what is told of a call that is written in these pieces."""
    writing, encoder = PartialCalls("root", lambda _: definition or DEFINITION), EventEncoder()
    deltas = [CallDelta(call, "write", ""), *(CallDelta(call, "write", piece) for piece in pieces)]
    return [payload for delta in deltas for event in writing.add(delta) for payload in encoder.encode(event)]


def bodies(frames: bytes) -> list[dict[str, Any]]:
    return [dict(EventFact.read(frame).fields) for frame in split(frames)]


def arguments(body: dict[str, Any]) -> str:
    return str(body["tool_call"]["function"].get("arguments", ""))


@BOTH
def test_a_fact_that_has_one_form_is_passed_on_as_it_is(encoder: FrameEncoder) -> None:
    told = [
        events.AgentChoice(content='{"type":"partial_tool_call"', session_id="s", message_id="m"),
        events.Warning(message='{"type":"error"'),
        events.Error(error="full", code="session_full"),
    ]
    payloads = [payload for event in told for payload in EventEncoder().encode(event)]
    for fact in [*numbered(10**15, payloads), *map(unnumbered, payloads), numbered(1, partials())[0]]:
        assert encoder.encode(fact) is fact


def test_pieces_put_together_are_what_was_written() -> None:
    pieces = ['{"a', '":"', *(f"line {number}\\n" for number in range(60)), '"}']
    facts = numbered(7, partials(*pieces))
    later = bodies(b"".join(map(LATER.encode, facts)))
    march = bodies(b"".join(map(MARCH.encode, facts)))
    whole = "".join(pieces)
    assert whole.startswith("".join(map(arguments, later)))
    assert "".join(map(arguments, later)) == arguments(march[-1])
    assert ["tool_definition" in body for body in later] == [True] + [False] * (len(later) - 1)
    assert all(body["tool_definition"] == DEFINITION for body in march)
    assert not any("piece_length" in body for body in (*later, *march))
    assert [EventFact.read(LATER.encode(fact)).number for fact in facts] == [*range(7, 7 + len(facts))]


@given(st.lists(st.text(st.characters(codec=None, exclude_categories=()), max_size=4000), max_size=8))
def test_whatever_is_written_no_event_of_a_call_is_cut(pieces: list[str]) -> None:
    payloads = partials(*pieces)
    assert max(map(len, payloads)) < MAX_EVENT_BYTES
    later = bodies(b"".join(map(LATER.encode, numbered(1, payloads))))
    whole = "".join(pieces).encode("utf-8", "replace").decode()
    assert whole.startswith("".join(map(arguments, later)))


def test_a_tool_with_a_long_definition_leaves_no_room_for_pieces() -> None:
    definition = {"name": "write", "description": "x" * 58_000}
    assert len(partials("y" * 5_000, definition=definition)) == 1
    assert len(partials("\0" * 15_000)) == 1


@pytest.fixture
def log(store: Store) -> Iterator[EventLog]:
    logs = EventLogs()
    log = logs.open(new_session(store).id, 1)
    yield log
    logs.release(log)


def test_after_a_gap_a_call_begins_with_what_is_written_of_it(log: EventLog, store: Store) -> None:
    log.continue_at(10)
    one, two = partials("a" * 50, "b" * 50, "c" * 50), partials("x" * 60, "y" * 60, call="d")
    end = EndMark("r")
    logs = EventLogs()
    logs.hold(log)
    reader = EventReader(log, logs, store.events, after=0, encoder=LATER)
    log.publish([one[2]], end)
    assert b'"gap"' in (reader.next(1.0) or b"")
    carried = [reader.can_be_carried]
    told = bodies(reader.next(1.0) or b"")
    log.publish([one[3], *two[1:]], end)
    told += bodies(reader.next(1.0) or b"")
    assert [arguments(body) for body in told] == ["a" * 50 + "b" * 50, "c" * 50, "x" * 60, "y" * 60]
    assert ["tool_definition" in body for body in told] == [True, False, True, False]
    added = orjson.dumps(events.MessageAdded(session_id="s").payload("now"))
    log.publish([added], end)
    assert [body["type"] for body in bodies(reader.next(1.0) or b"")] == ["message_added"]
    assert [*carried, reader.can_be_carried] == [False, True]
    reader.close()
