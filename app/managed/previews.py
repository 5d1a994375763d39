"""Previews of what a session's agent is saying, as one stream of the Managed Agents API shows them: that the model
thinks, and a message's beginning and its first text, piece by piece. They are never stored."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import orjson

from app.conversation.event_facts import EventFact
from app.managed_ids import event_id, thinking_event_id

PREVIEWS: Final = ("agent.message", "agent.thinking")

_UNTOLD: Final = frozenset(
    {"agent_choice", "agent_choice_reasoning", "partial_tool_call", "tool_call_output", "session_title"}
)
"""Facts with which no event is stored."""

_REMEMBERED: Final = 100  # messages that were shown whole; a stream is behind by a few at most


class Previews:
    """Used by one thread at a time."""

    def __init__(self, session_id: str, wanted: frozenset[str]) -> None:
        self._session_id = session_id
        self._of_messages, self._of_thinking = (kind in wanted for kind in PREVIEWS)
        self._said: str | None = None  # the message that is previewed
        self._thought: str | None = None  # the message before which the model thinks
        self._shown = ""  # the event that will tell the message
        self._delta = b""  # a piece's frame up to its text
        self._goes_on = False
        self._told: deque[str] = deque(maxlen=_REMEMBERED)

    def piece(self, fact: EventFact) -> bytes | None:
        """The frame of a fact that needs nothing before it, b"" if it has none; None for a fact whose frames come
        behind what is stored: see `begin`."""
        match fact.type:
            case "agent_choice" if self._of_messages:
                fields = fact.fields
                if not self._is_own(fields):
                    return b""
                return self._text(fields) if self._said == fields.get("message_id", "") else None
            case "agent_choice_reasoning" if self._of_thinking:
                fields = fact.fields
                return None if self._is_own(fields) and self._thought != fields.get("message_id", "") else b""
            case "partial_tool_call" if self._goes_on and self._is_own(fact.fields):
                self._goes_on = False  # what is said after a call is another text
        return b"" if fact.type in _UNTOLD else None

    def shown_by(self, fact: EventFact) -> str:
        """The id of the event that will tell what such a fact begins; empty if it begins nothing."""
        said = fact.fields.get("message_id", "") if fact.type in _UNTOLD else ""
        return (
            (thinking_event_id if fact.type == "agent_choice_reasoning" else event_id)(said) if said else ""
        )

    def begin(self, fact: EventFact) -> bytes:
        """The frames of such a fact, once all has been shown that was stored by then."""
        if fact.type not in _UNTOLD:
            return b""
        fields = fact.fields
        said = fields.get("message_id", "")
        if fact.type == "agent_choice_reasoning":
            self._thought, thinking = said, thinking_event_id(said)
            return b"" if thinking in self._told else _start("agent.thinking", thinking)
        self._said, self._shown = said, event_id(said)
        self._goes_on = self._shown not in self._told
        if not self._goes_on:
            return b""
        self._delta = _DELTA % self._shown.encode()
        return _start("agent.message", self._shown) + self._text(fields)

    def tell(self, shown: str) -> None:
        """The event with this id has been shown: nothing of it is previewed any more."""
        self._told.append(shown)
        if shown == self._shown:
            self._goes_on = False

    def _is_own(self, fields: Any) -> bool:
        return bool(fields.get("session_id") == self._session_id)

    def _text(self, fields: Any) -> bytes:
        if not self._goes_on:
            return b""
        return b"%b%b}}}\n\n" % (self._delta, orjson.dumps(fields["content"]))


_DELTA: Final = (
    b'event: event_delta\ndata: {"type":"event_delta","event_id":"%b",'
    b'"delta":{"type":"content_delta","index":0,"content":{"type":"text","text":'
)


def _start(kind: str, shown: str) -> bytes:
    body = {"type": "event_start", "event": {"type": kind, "id": shown}}
    return b"event: event_start\ndata: %b\n\n" % orjson.dumps(body)
