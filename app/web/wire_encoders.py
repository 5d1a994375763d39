"""Facts as each generation of docker-agent's clients reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from app.conversation.call_events import PartialToolCall
from app.conversation.event_facts import EventFact, is_marked, mark_of, rewritten
from app.conversation.events import AgentChoice, Error, TokenUsage
from app.runtime.streams.frame_encoder import FrameEncoder
from app.web.wire_generation import Generation, generation

_CHOICE: Final = mark_of(AgentChoice.type)
_PARTIAL: Final = mark_of(PartialToolCall.type)
_ERROR: Final = mark_of(Error.type)
_USAGE: Final = mark_of(TokenUsage.type)

_LATER_CODES: Final = {
    "model_failed": "model_error",
    "context_full": "context_exceeded",
    "calls_repeated": "loop_detected",
}


def _without(fact: bytes, name: str) -> bytes:
    fields = dict(EventFact.read(fact).fields)
    return rewritten(fact, fields) if fields.pop(name, None) else fact


class _March:
    """A call that is being written has all its arguments so far, each time."""

    def encode(self, fact: bytes) -> bytes:
        if is_marked(fact, _PARTIAL):
            return _without(fact, "piece_length")
        return _without(fact, "timing") if is_marked(fact, _USAGE) else fact


class _Later:
    """A call that is being written has what is new of its arguments, and its tool's definition the first time. An
    error has docker-agent's code, if it has one for it, and ours in `run_code`."""

    def encode(self, fact: bytes) -> bytes:
        if is_marked(fact, _CHOICE):  # most are
            return fact
        if is_marked(fact, _PARTIAL):
            return self._partial_call(fact)
        if is_marked(fact, _ERROR):
            return self._error(fact)
        return _without(fact, "timing") if is_marked(fact, _USAGE) else fact

    def _partial_call(self, fact: bytes) -> bytes:
        fields = dict(EventFact.read(fact).fields)
        length = fields.pop("piece_length", 0)
        if not length:
            return fact
        del fields["tool_definition"]
        call: dict[str, Any] = fields["tool_call"]
        call["function"]["arguments"] = call["function"]["arguments"][-length:]
        return rewritten(fact, fields)

    def _error(self, fact: bytes) -> bytes:
        fields = dict(EventFact.read(fact).fields)
        code = fields.get("code", "")
        if code not in _LATER_CODES:
            return fact
        return rewritten(fact, {**fields, "code": _LATER_CODES[code], "run_code": code})


LATER: Final[FrameEncoder] = _Later()
MARCH: Final[FrameEncoder] = _March()
_ENCODERS: Final[Mapping[Generation, FrameEncoder]] = {Generation.LATER: LATER, Generation.MARCH: MARCH}


def wire_encoder() -> FrameEncoder:
    """The one for the client of the request at work. InvalidRequest if it asks for another."""
    return _ENCODERS[generation()]
