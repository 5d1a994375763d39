"""A turn that a reader has joined in its midst, because it has missed events."""

from __future__ import annotations

from typing import Final

from app.conversation.call_events import PartialToolCall
from app.conversation.event_facts import EventFact, first_of_its_call, is_marked, mark_of
from app.conversation.events import MessageAdded, StreamStopped

_PARTIAL: Final = mark_of(PartialToolCall.type)
_ENDS_A_TURN: Final = (mark_of(MessageAdded.type), mark_of(StreamStopped.type))


class TurnJoined:
    """Belongs to one reader. While `under_way`, facts go through `told`."""

    def __init__(self) -> None:
        self.under_way = False
        self._known_calls: set[str] = set()

    def begin(self) -> None:
        self.under_way = True
        self._known_calls.clear()

    def told(self, fact: bytes) -> bytes:
        """The fact as this reader is told it: a call that was being written when it joined begins with the first piece
        that it reads of it."""
        if not self.under_way:
            return fact
        if is_marked(fact, _PARTIAL):
            call_id = str(EventFact.read(fact).fields["tool_call"].get("id"))
            if call_id not in self._known_calls:
                self._known_calls.add(call_id)
                return first_of_its_call(fact)
        elif any(is_marked(fact, mark) for mark in _ENDS_A_TURN):
            self.under_way = False
        return fact
