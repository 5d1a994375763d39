"""Facts of an ended run, condensed: pieces of one answer behind each other become one fact, which remembers how long
each of them was. Its number is that of its last piece; the numbers before it are those of the other pieces.

`lengths`, its last key, never leaves the server: `facts_after` and `single_facts_after` take it away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, Final

from app import sse_format
from app.conversation.call_events import PartialToolCall, ToolCallStarted
from app.conversation.event_facts import EventFact, is_marked, mark_of, numbered_fact
from app.conversation.events import AgentChoice, AgentChoiceReasoning

MAX_CHARACTERS: Final = 9_000
"""Of a condensed fact: it fits a line of the contract's clients however its text is escaped."""

_PIECES: Final = (mark_of(AgentChoice.type), mark_of(AgentChoiceReasoning.type))
_PARTIAL: Final = mark_of(PartialToolCall.type)
_CALL: Final = mark_of(ToolCallStarted.type)
_LENGTHS_END: Final = b"]}\n\n"


def condense(facts: Sequence[bytes]) -> list[bytes]:
    """The same facts in fewer bytes. What a call's arguments looked like before they were whole is left out, if the
    call itself is among the facts."""
    begun = {_call_id(fact) for fact in facts if is_marked(fact, _CALL)}
    return list(_joined(f for f in facts if not (is_marked(f, _PARTIAL) and _call_id(f) in begun)))


def facts_after(number: int, facts: bytes) -> list[bytes]:
    """The facts with a greater number. All of them have a number, and stand behind each other. Of a condensed fact
    that begins before it, the text that comes after that number."""
    found = []
    for fact in sse_format.split(facts):
        if (EventFact.read(fact).number or 0) <= number:
            continue
        found.append(_text_after(number, fact) if _is_condensed(fact) else fact)
    return found


def single_facts_after(number: int, facts: bytes) -> Iterator[tuple[int, bytes]]:
    """The same with their numbers, and each piece of a condensed fact as a fact of its own."""
    for fact in sse_format.split(facts):
        last = EventFact.read(fact).number or 0
        if last <= number:
            continue
        if not _is_condensed(fact):
            yield last, fact
            continue
        fields, lengths = _taken_apart(fact)
        text, ends = fields["content"], list(accumulate(lengths))
        first = last + 1 - len(ends)
        for at, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True), first):
            if at > number:
                yield at, numbered_fact(at, {**fields, "content": text[start:end]})


class _Stretch:
    """Pieces of one answer behind each other."""

    def __init__(self, number: int, fields: Mapping[str, Any]) -> None:
        self._last = number
        self._fields = fields
        self._head = _without_text(fields)
        self._texts = [fields["content"]]
        self._size = len(fields["content"])

    def takes(self, number: int, fields: Mapping[str, Any]) -> bool:
        """Adds that piece, if it can be told from the others only by its text, number and time."""
        size = self._size + len(fields["content"])
        if number != self._last + 1 or size > MAX_CHARACTERS or _without_text(fields) != self._head:
            return False
        self._last, self._fields, self._size = number, fields, size
        self._texts.append(fields["content"])
        return True

    def as_fact(self) -> bytes:
        fields = {**self._fields, "content": "".join(self._texts)}
        if len(self._texts) > 1:
            fields["lengths"] = [len(text) for text in self._texts]
        return numbered_fact(self._last, fields)


def _joined(facts: Iterable[bytes]) -> Iterator[bytes]:
    stretch: _Stretch | None = None
    for fact in facts:
        piece = None
        if _is_piece(fact) and not _is_condensed(fact):
            read = EventFact.read(fact)
            piece = read.number or 0, read.fields
        if stretch is not None:
            if piece is not None and stretch.takes(*piece):
                continue
            yield stretch.as_fact()
        stretch = None if piece is None else _Stretch(*piece)
        if piece is None:
            yield fact
    if stretch is not None:
        yield stretch.as_fact()


def _is_piece(fact: bytes) -> bool:
    return any(is_marked(fact, mark) for mark in _PIECES)


def _is_condensed(fact: bytes) -> bool:
    return fact.endswith(_LENGTHS_END) and _is_piece(fact)


def _text_after(number: int, fact: bytes) -> bytes:
    """A condensed fact without the text of its pieces up to that number."""
    last = EventFact.read(fact).number or 0
    fields, lengths = _taken_apart(fact)
    known = max(0, len(lengths) - (last - number))
    return numbered_fact(last, {**fields, "content": fields["content"][sum(lengths[:known]) :]})


def _taken_apart(fact: bytes) -> tuple[dict[str, Any], list[int]]:
    fields = dict(EventFact.read(fact).fields)
    return fields, fields.pop("lengths")


def _without_text(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in ("content", "timestamp")}


def _call_id(fact: bytes) -> str:
    return str(EventFact.read(fact).fields["tool_call"].get("id"))
