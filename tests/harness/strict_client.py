"""The contract's clients, as far as they read streams: written from their field lists alone, and as strict as they are.

A client reads lines of at most 65,535 bytes, skips what does not begin with `data: `, looks at `type`, and decodes the
event into the fields that it knows. An event of an unknown type is skipped. One with a field of the wrong type, or with
a time that has no zone, is dropped, without a word to anybody, and ends the stream of the newest later client; a line
that is too long ends the stream. A user would therefore never see an event that `StrictClient` writes down as dropped.

`Decoder` also knows what a server of its generation sends: `assert_sent`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.harness import wire_additions, wire_later, wire_march
from tests.harness.field_kinds import Kind, Misshapen, Struct, WrongType, assert_sent, moment, paths, text
from tests.harness.promises import Promises

__all__ = [
    "DECODERS",
    "KNOWN",
    "LATER",
    "MARCH",
    "MAX_LINE",
    "SENT_BUT_UNKNOWN",
    "Decoder",
    "Event",
    "Misshapen",
    "Promises",
    "StrictClient",
    "WrongType",
    "decode",
    "moment",
]

Event = dict[str, Any]

MAX_LINE: Final = 65_535

_ALWAYS: Final[Mapping[str, Kind]] = {"type": text, "agent_name?": text, "timestamp": moment}
_TYPE: Final = Struct({"type": text})


class Decoder:
    """One generation's list of events. `skipped` are the types that a server sends and the client does not decode."""

    def __init__(
        self, name: str, own_fields: Mapping[str, Mapping[str, Kind]], skipped: frozenset[str]
    ) -> None:
        self.name = name
        self.sent = {
            kind: Struct({**_ALWAYS, **({"agent_name": text} if kind == "agent_info" else {}), **fields})
            for kind, fields in own_fields.items()
        }
        self.known = frozenset(own_fields) - skipped
        self.paths = frozenset(path for kind, struct in self.sent.items() for path in paths(struct, kind))

    def __repr__(self) -> str:
        return self.name

    def take(self, event: Event) -> None:
        """WrongType if the client would drop the event; it looks only at the type of one that it does not know."""
        _TYPE(event, "the event")
        if (kind := str(event.get("type"))) in self.known:
            self.sent[kind](event, kind)

    def assert_sent(self, event: Event, beside: frozenset[str]) -> None:
        """Misshapen unless a server of this generation could have sent the event, which may have keys of which the
        other generation or `wire_additions` knows (`beside`) as well."""
        kind = event["type"]
        if kind in self.sent:
            assert_sent(self.sent[kind], event, kind, beside)


MARCH: Final = Decoder("march-2026", wire_march.OWN_FIELDS, wire_march.NOT_DECODED)
LATER: Final = Decoder("later", wire_later.OWN_FIELDS, wire_later.NOT_DECODED)
DECODERS: Final = (MARCH, LATER)
KNOWN: Final = MARCH.known
SENT_BUT_UNKNOWN: Final = (
    frozenset(MARCH.sent.keys() | LATER.sent.keys() | wire_additions.TYPES.keys()) - KNOWN
)
"""Types that a server may send though March's client has no use for them; any other one would be a slip of the pen."""

_BESIDE: Final = MARCH.paths | LATER.paths | wire_additions.FIELDS.keys()


def decode(data: bytes, decoder: Decoder = MARCH) -> Event:
    """One event's JSON. WrongType if the client would drop the event."""
    event = _parsed(data)
    decoder.take(event)
    return dict(event)


def decode_as_sent(data: bytes) -> Event:
    """One event's JSON, which both clients take, and of which both generations know each key, or skip it on purpose.

    Misshapen or WrongType, with the event in its words, if it is not so."""
    event = _parsed(data)
    try:
        for decoder in DECODERS:
            decoder.take(event)
            decoder.assert_sent(event, _BESIDE)
        if event["type"] not in KNOWN | SENT_BUT_UNKNOWN:
            raise Misshapen(f"{event['type']} is unknown")
        if (keys := wire_additions.TYPES.get(event["type"])) is not None and (
            more := event.keys() - keys - {"type", "agent_name", "timestamp"}
        ):
            raise Misshapen(f"{event['type']} has {sorted(more)}")
    except (Misshapen, WrongType) as error:
        raise type(error)(f"{error} (for a client of {decoder}) in {data[:400]!r}") from None
    return dict(event)


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data, parse_constant=_no_constant)
    except ValueError as error:
        raise WrongType(f"not JSON: {data[:80]!r}: {error}") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


@dataclass(slots=True)
class StrictClient:
    """That client's view of one stream, whose bytes it is fed with."""

    decoder: Decoder = MARCH
    events: list[Event] = field(default_factory=list)
    unknown: list[Event] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    cut_off: bool = False
    _rest: bytes = b""

    def feed(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._read(line)
        if len(self._rest) > MAX_LINE:
            self.cut_off = True

    def _read(self, line: bytes) -> None:
        self.cut_off = self.cut_off or len(line) > MAX_LINE
        if self.cut_off or not line.startswith(b"data: "):
            return
        try:
            event = decode(line[6:].removesuffix(b"\r"), self.decoder)
        except WrongType as error:
            self.dropped.append(str(error))
            return
        (self.events if event.get("type") in self.decoder.known else self.unknown).append(event)
