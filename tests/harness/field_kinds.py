"""Kinds of JSON values, each with two questions: would Go's decoder take this value, and would a Go server send it?

A decoder is lenient: keys in any case, further keys skipped, null for everything. A server is not: it always sends
what has no `omitempty`, never sends an empty value where there is one, and sends null only for what can be nil.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

_TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:[.,]\d{1,9})?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)"
)
_ANY_INDEX: Final = re.compile(r"\[\d+\]")


class WrongType(Exception):
    """The client's decoder would refuse this field."""


class Misshapen(AssertionError):
    """No server of that generation sends such an event."""


class Kind(Protocol):
    def __call__(self, value: Any, where: str) -> None:
        """WrongType if the decoder refuses the value, which is not null."""


def text(value: Any, where: str) -> None:
    _need(isinstance(value, str), where, "a string", value)


def truth(value: Any, where: str) -> None:
    _need(isinstance(value, bool), where, "a bool", value)


def whole(value: Any, where: str) -> None:
    fits = isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
    _need(fits, where, "an int64", value)


def number(value: Any, where: str) -> None:
    _need(isinstance(value, int | float) and not isinstance(value, bool), where, "a number", value)


def moment(value: Any, where: str) -> None:
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    _need(match is not None, where, "a time with a zone", value)
    if match is not None:
        try:
            datetime.fromisoformat(match[1])
        except ValueError:
            _need(False, where, "a time that there is", value)


def anything(value: Any, where: str) -> None:
    """Decoded into an interface, which may be nil."""


@dataclass(frozen=True, slots=True)
class Listed:
    item: Kind

    def __call__(self, value: Any, where: str) -> None:
        _need(isinstance(value, list), where, "an array", value)
        for index, one in enumerate(value):
            _unless_null(self.item, one, f"{where}[{index}]")


@dataclass(frozen=True, slots=True)
class Mapped:
    item: Kind

    def __call__(self, value: Any, where: str) -> None:
        _need(isinstance(value, dict), where, "an object", value)
        for key, one in value.items():
            _unless_null(self.item, one, f"{where}.{key}")


@dataclass(frozen=True, slots=True)
class Pointer:
    """A struct that may be nil."""

    to: Struct

    def __call__(self, value: Any, where: str) -> None:
        self.to(value, where)


class Struct:
    """`fields` are the keys as the server writes them; a `?` behind one says `omitempty`."""

    def __init__(self, fields: Mapping[str, Kind]) -> None:
        self.fields = {key.removesuffix("?"): kind for key, kind in fields.items()}
        self.optional = frozenset(key.removesuffix("?") for key in fields if key.endswith("?"))
        self._in_any_case = {key.lower(): kind for key, kind in self.fields.items()}

    def __call__(self, value: Any, where: str) -> None:
        """Keys whatever their case; further keys are skipped; null leaves a field as it is."""
        _need(isinstance(value, dict), where, "an object", value)
        for key, one in value.items():
            if (known := self._in_any_case.get(key.lower())) is not None:
                _unless_null(known, one, f"{where}.{key}")

    def decodes(self, key: str) -> bool:
        return key.lower() in self._in_any_case


def assert_sent(kind: Kind, value: Any, where: str, known: frozenset[str]) -> None:
    """Misshapen unless a server would write this value. `known` are the paths of keys that may stand beside its own."""
    match kind:
        case Struct():
            _assert_sent_struct(kind, value, where, known)
        case Pointer() if value is not None:
            _assert_sent_struct(kind.to, value, where, known)
        case Listed() if value is not None:
            for index, one in enumerate(value):
                assert_sent(kind.item, one, f"{where}[{index}]", known)
        case Mapped() if value is not None:
            for key, one in value.items():
                assert_sent(kind.item, one, f"{where}.{key}", known)
        case Pointer() | Listed() | Mapped():
            return
        case _ if kind is not anything and value is None:
            raise Misshapen(f"{where} is null")


def _assert_sent_struct(struct: Struct, value: Any, where: str, known: frozenset[str]) -> None:
    if value is None:
        raise Misshapen(f"{where} is null")
    for key, one in value.items():
        if key in struct.fields:
            if key in struct.optional and _is_empty(struct.fields[key], one):
                raise Misshapen(f"{where}.{key} is empty, and so would not be sent")
            assert_sent(struct.fields[key], one, f"{where}.{key}", known)
        elif _ANY_INDEX.sub("[]", f"{where}.{key}") not in known:
            raise Misshapen(f"{where}.{key} is unknown")
    for key in struct.fields.keys() - struct.optional - value.keys():
        raise Misshapen(f"{where}.{key} is missing")


def _is_empty(kind: Kind, value: Any) -> bool:
    """An interface is not empty while there is something in it, be it an empty list."""
    return kind is not anything and value in (False, 0, "", [], {})


def paths(kind: Kind, where: str) -> Iterator[str]:
    """Where there is a key in such a value: `call.function.name`; `[]` stands for an index."""
    match kind:
        case Struct():
            for key, one in kind.fields.items():
                yield f"{where}.{key}"
                yield from paths(one, f"{where}.{key}")
        case Pointer():
            yield from paths(kind.to, where)
        case Listed():
            yield from paths(kind.item, f"{where}[]")


def _unless_null(kind: Kind, value: Any, where: str) -> None:
    if value is not None:
        kind(value, where)


def _need(fits: bool, where: str, wanted: str, value: Any) -> None:
    if not fits:
        raise WrongType(f"{where} is not {wanted}: {value!r:.80}")
