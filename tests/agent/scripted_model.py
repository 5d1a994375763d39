"""A model that says what a test has written down, and judges what it is sent as the real API does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from anthropic_standin.judge import judge
from app.agent.model_client import (
    CallDelta,
    Cancellation,
    ModelError,
    ModelEvent,
    ModelRequest,
    TextDelta,
    Turn,
)
from app.conversation.blocks import Block
from app.conversation.usage import Usage

USAGE = Usage(input_tokens=10, output_tokens=5, cache_read_tokens=3, cache_write_tokens=2)

Line = Sequence[ModelEvent | ModelError]


def body_of(request: ModelRequest) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": request.model,
        "max_tokens": request.max_tokens,
        "messages": [orjson.loads(message) for message in request.messages],
        **request.options,
    }
    for name, encoded in (("system", request.system), ("tools", request.tools)):
        if encoded:
            body[name] = orjson.loads(encoded)
    return body


class ScriptedModel:
    """Each call takes the next line. A call without a line fails; `lines` shows what was not used."""

    def __init__(self, *lines: Line) -> None:
        self.lines = list(lines)
        self.requests: list[dict[str, Any]] = []

    def stream(self, request: ModelRequest, cancellation: Cancellation) -> Iterator[ModelEvent]:
        assert self.lines, "the model was asked once more than the test expects"
        self.requests.append(body_of(request))
        judge(self.requests[-1])
        for event in self.lines.pop(0):
            if isinstance(event, ModelError):
                raise event
            yield event


def said(text: str) -> Line:
    return [TextDelta(text), turn({"type": "text", "text": text})]


def called(
    *calls: tuple[str, str, dict[str, Any]], stop_reason: str = "tool_use", broken: Sequence[str] = ()
) -> Line:
    """Calls as (id, name, input)."""
    blocks = [
        {"type": "tool_use", "id": call_id, "name": name, "input": arguments}
        for call_id, name, arguments in calls
    ]
    deltas = [CallDelta(call_id, name, "", begins=True) for call_id, name, _ in calls]
    return [*deltas, turn(*blocks, stop_reason=stop_reason, broken=broken)]


def turn(*blocks: Block, stop_reason: str = "end_turn", broken: Sequence[str] = ()) -> Turn:
    return Turn(tuple(blocks), stop_reason, USAGE, "claude-sonnet-5-5", broken_calls=frozenset(broken))
