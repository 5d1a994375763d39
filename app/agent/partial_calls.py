"""Tells readers of tool calls while they are written.

The fact repeats all arguments so far, which costs the square of their length if it is written for every delta. It is
therefore written when a call begins, and then whenever its arguments have grown by a quarter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import orjson

from app.agent.model_client import CallDelta
from app.conversation.blocks import clean
from app.conversation.call_events import PartialToolCall, wire_call
from app.conversation.events import Json

_GROWTH: Final = 1.25
_FIRST_STEP: Final = 32  # characters
MAX_CHARACTERS: Final = 16_000
MAX_BYTES: Final = 50_000
"""Longer arguments are seen when the call is made. Together with the tool's definition they must not make an event so
large that it would be cut."""


@dataclass(slots=True)
class _Written:
    """A call's arguments so far; of these `told` characters are told, and the next are `due` at a length."""

    id: str  # that the call will have in the session
    room: int  # bytes, for the arguments inside the event
    pieces: list[str] = field(default_factory=list)
    length: int = 0
    told: int = 0
    due: float = 0


class PartialCalls:
    """Belongs to one answer. `ids` finds the ids that the answer's calls will have, in the order of the calls, for
    those that the model gave them. `hidden`: no arguments are told before the call is whole, as they may have to be
    masked."""

    def __init__(
        self,
        agent: str,
        definition: Callable[[str], Json],
        *,
        ids: Callable[[Sequence[str]], Sequence[str]] = list,
        hidden: bool = False,
    ) -> None:
        self._hidden = hidden
        self._ids = ids
        self._given: list[str] = []
        self._agent = agent
        self._definition = definition
        self._written: dict[str, _Written] = {}  # the newest call of each id that the model gave

    def add(self, delta: CallDelta) -> Iterator[PartialToolCall]:
        written = self._written.get(delta.id)
        if written is None or delta.begins:
            definition = self._definition(delta.name)
            self._given.append(delta.id)
            written = self._written[delta.id] = _Written(
                self._ids(self._given)[-1], MAX_BYTES - len(orjson.dumps(definition, default=str))
            )
            yield self._event(written, delta.name, "", 0)
        if not delta.partial_json or self._hidden:
            return
        piece = clean(delta.partial_json)
        written.pieces.append(piece)
        written.length += len(piece)
        if written.due <= written.length <= MAX_CHARACTERS:
            written.due = max(written.length * _GROWTH, written.length + _FIRST_STEP)
            text = "".join(written.pieces)
            if len(orjson.dumps(text)) <= written.room:
                yield self._event(written, delta.name, text, written.length - written.told)
                written.told = written.length

    def _event(self, call: _Written, name: str, arguments: str, piece_length: int) -> PartialToolCall:
        return PartialToolCall(
            agent_name=self._agent,
            tool_call=wire_call(call.id, name, arguments),
            tool_definition=self._definition(name),
            piece_length=piece_length,
        )
