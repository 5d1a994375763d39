"""Events as bytes: deltas as the general way would write them, and no line that a reader could not take."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.conversation import call_events, events
from app.conversation.events import AgentChoice, AgentChoiceReasoning, Event
from app.event_encoder import EventEncoder
from tests.harness.strict_client import DECODERS, MAX_LINE, decode

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=50)


def _decode(payload: bytes) -> dict[str, Any]:
    assert b"\n" not in payload
    assert b"\r" not in payload
    for decoder in DECODERS:
        decode(payload, decoder)
    return decode(payload)


@pytest.mark.parametrize("kind", [AgentChoice, AgentChoiceReasoning])
@given(content=ANY_TEXT, session=ANY_TEXT, agent=ANY_TEXT)
def test_a_delta_is_what_the_general_encoder_would_write(
    kind: type[AgentChoice], content: str, session: str, agent: str
) -> None:
    content, session, agent = (text.encode("utf-8", "replace").decode() for text in (content, session, agent))
    encoder = EventEncoder()
    event = kind(content=content, session_id=session, agent_name=agent)
    for _ in range(2):
        (payload,) = encoder.encode(event)
        stamp = json.loads(payload)["timestamp"]
        assert payload == orjson.dumps(event.payload(stamp))


@pytest.mark.parametrize("text", ["half \ud83d", "\udfff", "a\0b", "\u2028 \u2029 \x85", "line\r\nbreak"])
def test_any_text_can_be_told(text: str) -> None:
    for event in (
        AgentChoice(content=text, session_id="s", agent_name="root"),
        AgentChoiceReasoning(content=text, session_id="s"),
        events.Error(error=text, code="c"),
        call_events.ToolCallResponse(
            tool_call=call_events.wire_call("c", text, text),
            tool_definition={text: 1},
            response=text,
            result={},
        ),
    ):
        for payload in EventEncoder().encode(event):
            _decode(payload)


def test_a_delta_of_an_agent_or_session_with_half_a_character_can_be_told() -> None:
    (payload,) = EventEncoder().encode(AgentChoice(content="x", session_id="s\ud800", agent_name="a\ud800"))
    assert _decode(payload)["content"] == "x"


LONG: list[tuple[str, Event]] = [
    (name, event)
    for name, text in {
        "ascii": "x" * 400_000,
        "quotes": '"' * 200_000,
        "control": "\x01" * 200_000,
        "wide": "\U0001f600" * 100_000,
    }.items()
    for event in (
        AgentChoice(content=text, session_id="s", agent_name="a"),
        AgentChoiceReasoning(content=text, session_id="s", agent_name="a"),
        events.UserMessage(message=text, session_id="s", session_position=1),
        events.Error(error=text),
        events.Warning(message=text),
        call_events.ToolCallResponse(
            tool_call=call_events.wire_call("c", "n", text),
            tool_definition={"name": "n", "description": text},
            response=text,
            result={"output": text, "images": [{"data": text, "mimeType": "image/png"}], "meta": [text] * 9},
        ),
        events.SessionSummaryEvent(session_id="s", summary=text),
        events.AgentInfo(model="m", description=text, welcome_message=text),
    )
]


@pytest.mark.parametrize("event", [event for _, event in LONG], ids=[f"{n}-{e.type}" for n, e in LONG])
def test_no_event_is_longer_than_a_reader_takes(event: Event) -> None:
    payloads = EventEncoder().encode(event)
    for payload in payloads:
        assert len(b"data: " + payload) <= MAX_LINE
        _decode(payload)
    if isinstance(event, AgentChoice | AgentChoiceReasoning):
        assert "".join(_decode(payload)["content"] for payload in payloads) == event.content


@pytest.mark.parametrize(
    "result",
    [
        {"output": "", "structuredContent": {str(n): "v" * 20 for n in range(20_000)}},
        {"output": "", "meta": [{"k": n} for n in range(100_000)]},
        {"output": "", "meta": [[["deep" * 100] * 100] * 100]},
        {"k" * 300_000: "a key that is too long"},
    ],
    ids=["many keys", "many items", "nested", "long key"],
)
def test_a_result_of_any_shape_fits_a_line(result: dict[str, Any]) -> None:
    event = call_events.ToolCallResponse(
        tool_call=call_events.wire_call("c", "n", "{}"),
        tool_definition={"name": "n"},
        response="r",
        result=result,
    )
    for payload in EventEncoder().encode(event):
        assert len(b"data: " + payload) <= MAX_LINE
        assert _decode(payload)["type"] == "tool_call_response"


def test_numbers_and_types_that_json_libraries_refuse_are_told_as_text() -> None:
    odd = {"huge": 10**40, "bytes": b"x", "set": {1}, "fine": [1.5, True, None, 2**53], "nan": float("nan")}
    event = events.ElicitationRequest(message="m", schema=odd, meta={"n": -(10**30)})
    body = _decode(EventEncoder().encode(event)[0])
    assert body["schema"]["huge"] == str(10**40)
    assert body["schema"]["fine"][:3] == [1.5, True, None]


def test_time_stamps_are_rfc_3339() -> None:
    _decode(b'{"type":"warning","timestamp":"%s"}' % EventEncoder().timestamp().encode())
