"""The events of a model's stream: of the right shape, or nearly, and in any order."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from app.agent.anthropic.sse_decoder import MalformedStream
from app.agent.anthropic.turn_accumulator import StreamFailed, TurnAccumulator
from tests.fuzz.limits import bounded, tries

WORDS = st.one_of(
    st.text(max_size=4), st.sampled_from(("text", "tool_use", "thinking", "end_turn", "max_tokens", "{}"))
)
LEAVES = st.one_of(WORDS, st.none(), st.integers(-1, 3), st.just([]), st.just({}), st.just({"type": "text"}))
INDEX = st.one_of(st.integers(0, 2), st.integers(0, 2), LEAVES)


def of(kind: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"type": st.just(kind), **fields})


BLOCKS = st.one_of(
    of("text", text=LEAVES),
    of("thinking", thinking=LEAVES, signature=LEAVES),
    of("tool_use", id=LEAVES, name=LEAVES, input=LEAVES),
    of("server_tool_use", id=LEAVES, name=LEAVES, input=LEAVES),
    LEAVES,
)
DELTAS = st.one_of(
    of("text_delta", text=WORDS),
    of("thinking_delta", thinking=WORDS),
    of("input_json_delta", partial_json=WORDS),
    of("signature_delta", signature=LEAVES),
    of("citations_delta", citation=LEAVES),
    LEAVES,
)
EVENTS = st.one_of(
    of("content_block_start", index=INDEX, content_block=BLOCKS),
    of("content_block_start", index=INDEX, content_block=BLOCKS),
    of("content_block_delta", index=INDEX, delta=DELTAS),
    of("content_block_stop", index=INDEX),
    of("message_start", message=st.one_of(st.just({"usage": {"input_tokens": 1}}), LEAVES)),
    of("message_delta", delta=st.one_of(st.just({"stop_reason": "end_turn"}), LEAVES), usage=LEAVES),
    of("message_stop"),
    of("error", error=LEAVES),
    LEAVES,
)


@tries(400)
@given(st.lists(EVENTS, max_size=8))
@example([{"type": "message_start", "message": "text"}])
def test_any_events_are_a_turn_or_a_malformed_stream(events: list[Any]) -> None:
    fold = TurnAccumulator()
    with bounded():
        try:
            for event in events:
                fold.add(event)
        except (MalformedStream, StreamFailed):
            pass
        fold.used()
        fold.partial()
        if fold.finished:
            fold.turn()
