"""Facts: what the event log keeps of events, in memory and in the database.

A fact is a JSON object of an event's type, fields, agent and time, behind its number. It is written down as a
server-sent event (`app.sse_format`), because earlier versions, which share the database during an upgrade, pass its
bytes on to their clients as they are. A stored fact's number is read from the fact, never counted: others may be
missing before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import orjson

from app import sse_format

_TYPE_ENDS: Final = 80
"""Bytes of a fact, in which its type stands, whatever its number."""


class EventFact(NamedTuple):
    """`number` is None for a fact that moves no reader's cursor, such as a `gap`."""

    number: int | None
    body: bytes

    @classmethod
    def read(cls, fact: bytes) -> EventFact:
        return cls(*sse_format.parse(fact))

    @property
    def type(self) -> str:
        return self.body.split(b'"', 4)[3].decode()

    @property
    def fields(self) -> Mapping[str, Any]:
        """All that it tells, its type, agent and time included."""
        fields: Mapping[str, Any] = orjson.loads(self.body)
        return fields


def mark_of(kind: str) -> bytes:
    """How the body of a fact of that type begins."""
    return b'{"type":"%b"' % kind.encode()


def is_marked(fact: bytes, mark: bytes) -> bool:
    """Costs next to nothing: every delta is looked at."""
    return fact.find(mark, 0, _TYPE_ENDS) >= 0


def rewritten(fact: bytes, fields: Mapping[str, Any]) -> bytes:
    """The fact with the same number, and these fields."""
    head, mark, _ = fact.partition(b"data: ")
    return head + mark + orjson.dumps(fields) + b"\n\n"


def numbered_fact(number: int, fields: Mapping[str, Any]) -> bytes:
    return sse_format.numbered(number, [orjson.dumps(fields)])[0]


def first_of_its_call(fact: bytes) -> bytes:
    """A fact about a call that is being written, for readers who have not been told how the call began."""
    read = EventFact.read(fact)
    fields = {name: value for name, value in read.fields.items() if name != "piece_length"}
    return rewritten(fact, fields)


_LIVE_ONLY: Final = mark_of("tool_call_output")


def as_stored(fact: bytes) -> bytes:
    """The fact as it is written to the database. A tool's output stays out while it runs, for its result has it: what
    stands under the number then has no text, and names the tool only."""
    if not is_marked(fact, _LIVE_ONLY):
        return fact
    fields = EventFact.read(fact).fields
    definition = {**fields["tool_definition"], "parameters": None, "outputSchema": None}
    definition.pop("description", None)
    return rewritten(fact, {**fields, "tool_definition": definition, "output": ""})
