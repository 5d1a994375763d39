"""Events to JSON bytes, once each. Deltas are most of all events and are put together from ready pieces."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from app.conversation.blocks import clean
from app.conversation.events import AgentChoice, AgentChoiceReasoning, Event

MAX_EVENT_BYTES: Final = 60_000
"""The contract's client gives up on a line of 64 KiB; a longer event is cut or split, for readers only."""

_MAX_TEXT: Final = MAX_EVENT_BYTES // 6 - 200
"""Characters that fit a line however they are escaped: six bytes for a character at the worst."""

_MAX_PIECES: Final = 64
_MAX_DEPTH: Final = 200  # orjson writes 254
_CUT: Final = "\n\n[cut: too long to be shown here]"
_MEDIA: Final = ("images", "audios")  # half of one is nothing; `cut` says that there were some
_SHORTEST_CUT: Final = 100


class EventEncoder:
    """Belongs to one run; called from its thread, a title's, and those of its model and its tools."""

    def __init__(self) -> None:
        self._pieces: dict[tuple[type[Event], str, str, str], tuple[bytes, bytes]] = {}
        self._second = 0
        self._second_text = ""

    def encode(self, event: Event) -> list[bytes]:
        """The event's JSON; several for a text that is too long for one."""
        if isinstance(event, AgentChoice | AgentChoiceReasoning):
            if len(event.content) <= _MAX_TEXT:
                return [self._delta(event, event.content)]
            return [self._delta(event, text) for text in _split(event.content)]
        body = event.payload(self.timestamp())
        encoded = _dumps(body)
        return [encoded if len(encoded) <= MAX_EVENT_BYTES else _dumps_cut(body)]

    def encode_all(self, events: Iterable[Event]) -> list[bytes]:
        return [payload for event in events for payload in self.encode(event)]

    def timestamp(self) -> str:
        """Now, as RFC 3339 in UTC with microseconds."""
        now = time.time()
        second = int(now)
        if second != self._second:
            self._second_text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
            self._second = second
        return f"{self._second_text}.{int((now - second) * 1_000_000):06d}Z"

    def _delta(self, event: AgentChoice | AgentChoiceReasoning, text: str) -> bytes:
        key = (type(event), event.message_id, event.session_id, event.agent_name)
        pieces = self._pieces.get(key)
        if pieces is None:
            pieces = (
                b'{"type":"' + event.type.encode() + b'","content":',
                b',"session_id":'
                + _dumps(event.session_id)
                + (b',"message_id":' + _dumps(event.message_id) if event.message_id else b"")
                + (b',"agent_name":' + _dumps(event.agent_name) if event.agent_name else b"")
                + b',"timestamp":"',
            )
            if len(self._pieces) >= _MAX_PIECES:
                self._pieces.clear()  # of messages that are over, most of them
            self._pieces[key] = pieces
        return pieces[0] + _dumps(text) + pieces[1] + self.timestamp().encode() + b'"}'


def _split(text: str) -> list[str]:
    return [text[start : start + _MAX_TEXT] for start in range(0, len(text), _MAX_TEXT)]


def _dumps(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # a lone surrogate, a huge integer, a type of some tool's own, or too deep
        return orjson.dumps(_plain(value))


def _plain(value: Any, depth: int = 0) -> Any:
    match value:
        case str():
            return clean(value)
        case dict() | list() | tuple() if depth > _MAX_DEPTH:
            return _CUT
        case dict():
            return {clean(str(key)): _plain(item, depth + 1) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item, depth + 1) for item in value]
        case bool() | None | float():
            return value
        case int() if abs(value) < 2**53:
            return value
    return clean(str(value))


def _dumps_cut(body: dict[str, Any]) -> bytes:
    """Cuts long texts, lists and objects in the body until it fits; the stored event stays whole."""
    limit = MAX_EVENT_BYTES // 4
    while True:
        encoded = _dumps({key: _cut(value, limit) for key, value in body.items()})
        if len(encoded) <= MAX_EVENT_BYTES or limit <= 1:
            return encoded
        limit //= 2


def _cut(value: Any, limit: int) -> Any:
    match value:
        case str():
            return _cut_text(value, limit)
        case dict():
            shown = [(key, item) for key, item in value.items() if key not in _MEDIA]
            cut = {"cut": True} if any(value.get(key) for key in _MEDIA) else {}
            return {_cut_text(str(key), limit): _cut(item, limit) for key, item in shown[:limit]} | cut
        case list() | tuple():
            return [_cut(item, limit) for item in value[:limit]]
    return value


def _cut_text(text: str, limit: int) -> str:
    """Never so short that a name, an id or a time stamp is cut."""
    size = max(limit, _SHORTEST_CUT)
    return text if len(text) <= size else text[:size] + _CUT
