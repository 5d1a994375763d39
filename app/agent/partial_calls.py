"""Tells readers of tool calls while they are written.

The contract's event repeats all arguments so far, which costs the square of their length if it is sent for every
delta. It is therefore sent when a call begins, and then whenever its arguments have grown by a quarter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from app.agent.model_client import CallDelta
from app.conversation.events import Json, PartialToolCall, wire_call

_GROWTH = 1.25
_FIRST_STEP = 32  # characters
MAX_CHARACTERS = 16_000  # longer arguments are seen when the call is made


class PartialCalls:
    def __init__(self, agent: str, definition: Callable[[str], Json]) -> None:
        self._agent = agent
        self._definition = definition
        self._texts: dict[str, list[str]] = {}
        self._lengths: dict[str, tuple[int, float]] = {}  # so far, and when to send next

    def add(self, delta: CallDelta) -> Iterator[PartialToolCall]:
        if delta.id not in self._texts:
            self._texts[delta.id] = []
            self._lengths[delta.id] = (0, 0)
            yield self._event(delta, "")
        if delta.partial_json:
            self._texts[delta.id].append(delta.partial_json)
            length, due = self._lengths[delta.id]
            length += len(delta.partial_json)
            if due <= length <= MAX_CHARACTERS:
                due = max(length * _GROWTH, length + _FIRST_STEP)
                yield self._event(delta, "".join(self._texts[delta.id]))
            self._lengths[delta.id] = (length, due)

    def _event(self, delta: CallDelta, arguments: str) -> PartialToolCall:
        return PartialToolCall(
            agent_name=self._agent,
            tool_call=wire_call(delta.id, delta.name, arguments),
            tool_definition=self._definition(delta.name),
        )
