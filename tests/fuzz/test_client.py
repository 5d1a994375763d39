"""The Python client: of whatever a server, or who stands in its place, sends as a stream comes an event, or none."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, cast

from hypothesis import example, given
from hypothesis import strategies as st

from baton_client.connection import Answer
from baton_client.event_stream import _object
from baton_client.sse_frames import frames
from baton_client.stream_events import StreamEvent, event_of
from tests.fuzz.limits import CUTS, LARGE, bounded, joined, large, pieces, tries

TOKENS = (
    *(
        b"id: 1\n",
        b"id:",
        b"id: x\n",
        b"id: -1\n",
        b"data: {}\n",
        b"data:",
        b"data: \xff\n",
        b"\n",
        b"\r\n",
        b"\r",
    ),
    *(b": ping\n", b"retry: 1\n", b"event: a\n", b"\0", b"9" * 30, b'{"type":"error"}', b" ", b"\xc3"),
)
KINDS = st.sampled_from(
    (
        *(
            "agent_choice",
            "agent_choice_reasoning",
            "user_message",
            "tool_call_confirmation",
            "tool_call",
            "gap",
        ),
        *(
            "tool_call_response",
            "max_iterations_reached",
            "elicitation_request",
            "warning",
            "error",
            "stream_stopped",
        ),
    )
)
KEYS = st.sampled_from(
    (
        *(
            "type",
            "content",
            "message",
            "message_id",
            "tool_call",
            "function",
            "id",
            "name",
            "arguments",
            "result",
        ),
        *(
            "isError",
            "response",
            "max_iterations",
            "schema",
            "error",
            "code",
            "first_available",
            "session_id",
        ),
    )
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5) | KINDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=10,
)


class Pieces:
    """A response whose body comes in these pieces."""

    def __init__(self, body: Sequence[bytes]) -> None:
        self.body = body

    def pieces(self) -> Iterator[bytes]:
        return iter(self.body)


def read(body: Sequence[bytes]) -> list[tuple[int | None, str]]:
    with bounded():
        return list(frames(cast("Answer", Pieces(body))))


@tries(200)
@given(st.one_of(joined(TOKENS), st.binary(max_size=60), large(TOKENS)), CUTS)
@example(b"data: " + b"x" * LARGE + b"\n\n", [])
@example(b"data: a\n" * (LARGE // 8) + b"\n", [7, 9])
def test_frames_do_not_depend_on_where_the_stream_is_cut(data: bytes, cuts: list[int]) -> None:
    whole = read([data])
    assert read(pieces(data, cuts)) == whole
    for number, text in whole:
        assert number is None or number >= 0
        event_of(_object(text), number)


def test_a_line_that_comes_byte_by_byte_takes_linear_time() -> None:
    line = b"data: " + b"x" * (8 * LARGE)
    assert len(read([bytes([byte]) for byte in line + b"\n\n"])) == 1


@tries(200)
@given(
    st.one_of(
        st.builds(lambda kind, more: {**more, "type": kind}, KINDS, st.dictionaries(KEYS, VALUES)), VALUES
    )
)
def test_any_json_is_an_event(value: Any) -> None:
    with bounded():
        event = event_of(_object(json.dumps(value)), 1)
        assert isinstance(event, StreamEvent)
        assert all(isinstance(text, str) for text in (event.type, event.session_id, event.agent))


@tries(50)
@given(st.text(max_size=20))
@example("[" * LARGE)
@example("9" * 10_000)
def test_any_text_is_an_object_or_an_empty_one(text: str) -> None:
    with bounded():
        assert isinstance(_object(text), dict)
