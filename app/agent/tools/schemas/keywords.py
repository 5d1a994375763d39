"""The words that schemas are written with: types by the names that authors give them, and values as JSON has them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote

from app.conversation.blocks import sound

TYPES: Final = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})
CHOICES: Final = ("allOf", "anyOf", "oneOf")
MAX_DEPTH: Final = 60
_MAX_PATTERN: Final = 2000  # characters
_ANYTHING: Final = frozenset({"", "*", "any", "anything", "dynamic", "mixed", "unknown", "value"})
_CALLED: Final[Mapping[str, str]] = {
    **dict.fromkeys(("arr", "list", "sequence", "set", "tuple"), "array"),
    **dict.fromkeys(("bool", "flag"), "boolean"),
    **dict.fromkeys(("int", "int32", "int64", "long", "short"), "integer"),
    **dict.fromkeys(("nil", "none", "undefined", "void"), "null"),
    **dict.fromkeys(("decimal", "double", "float", "float32", "float64", "num", "numeric"), "number"),
    **dict.fromkeys(("dict", "dictionary", "hash", "json", "map", "record", "struct"), "object"),
    **dict.fromkeys(
        (
            *("binary", "byte", "bytes", "char", "date", "date-time", "datetime", "email", "file", "path"),
            *("str", "text", "time", "timestamp", "uri", "url", "uuid"),
        ),
        "string",
    ),
}
_FORMATS: Final = {
    "datetime": "date-time",
    **{one: one for one in ("date", "date-time", "email", "time", "uri", "uuid")},
}


class NotClear(Exception):
    """The meaning can't be told; the message says where."""


def type_named(name: str) -> dict[str, Any]:
    """The schema that an author means by the name of a type; empty for anything at all. Raises NotClear."""
    wanted = name.strip().lower()
    if wanted in TYPES:
        return {"type": wanted}
    if wanted in _ANYTHING:
        return {}
    if known := _CALLED.get(wanted):
        return {"type": known, **({"format": _FORMATS[wanted]} if wanted in _FORMATS else {})}
    if wanted.endswith("?"):
        return _or_null(type_named(wanted[:-1]))
    if "|" in wanted:
        found = [type_named(one) for one in wanted.split("|")]
        if not all(found):
            return {}
        return {"type": list(dict.fromkeys(one["type"] for one in found))}
    for begins, ends in (("array<", ">"), ("list<", ">"), ("array[", "]"), ("list[", "]"), ("", "[]")):
        if wanted.startswith(begins) and wanted.endswith(ends) and len(wanted) > len(begins) + len(ends):
            return {"type": "array", "items": type_named(wanted[len(begins) : -len(ends)])}
    raise NotClear(f"it has a type that is none: {name!r:.60}")


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "type": [schema["type"], "null"]} if isinstance(schema.get("type"), str) else schema


def plain(value: Any, depth: int = 0) -> Any:
    """A value that can be sent as JSON. Raises NotClear for one that is too deep."""
    if depth > MAX_DEPTH:
        raise NotClear("a value in it is nested too deeply")
    match value:
        case None | bool():
            return value
        case str():
            return sound(value)
        case int():
            return value if -(1 << 63) <= value < 1 << 64 else plain(_as_float(value))
        case float():
            return value if math.isfinite(value) else str(value)
        case Mapping():
            return {str(plain(str(name))): plain(one, depth + 1) for name, one in value.items()}
        case list() | tuple():
            return [plain(one, depth + 1) for one in value]
        case _:
            return plain(str(value))  # a date, from YAML


def number(value: Any) -> int | float | None:
    """The number that a limit means, also where it is written as a text; None if it means nothing."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
        value = int(value) if math.isfinite(value) and value == int(value) else value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    found = plain(value)
    return None if isinstance(found, str) else found


def flag(value: Any) -> bool | None:
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.strip().lower())
    return value if isinstance(value, bool) else None


def is_pattern(value: Any) -> bool:
    """Is it a regular expression that everybody can read? Expressions of other languages have words of their own."""
    if not isinstance(value, str) or len(value) > _MAX_PATTERN:
        return False
    try:
        re.compile(value)
    except (re.error, RecursionError, OverflowError, Warning):
        return False
    return True


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def pointed_at(whole: Mapping[str, Any], pointer: str) -> Any:
    """None if it is nowhere."""
    if not pointer.startswith("#"):
        named = [whole.get(word) for word in ("$defs", "definitions")]
        found = [one[pointer] for one in named if isinstance(one, Mapping) and pointer in one]
        return found[0] if found else None
    place: Any = whole
    for part in unquote(pointer[1:]).split("/")[1:]:
        step = part.replace("~1", "/").replace("~0", "~")
        if isinstance(place, Mapping):
            place = place.get(step)
        elif isinstance(place, list) and step.isdecimal() and int(step) < len(place):
            place = place[int(step)]
        else:
            return None
    return place if place is not whole else None


def keys_of(value: Any, depth: int = 0) -> Iterator[str]:
    """The names of all properties in a schema."""
    if depth > MAX_DEPTH * 2:
        return
    if isinstance(value, Mapping):
        named = value.get("properties")
        if isinstance(named, Mapping):
            yield from map(str, named)
        elif isinstance(named, list):
            yield from (str(one["name"]) for one in named if isinstance(one, Mapping) and "name" in one)
        for one in value.values():
            yield from keys_of(one, depth + 1)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from keys_of(one, depth + 1)


def required_inside(properties: Any) -> list[str]:
    """Properties that say of themselves that they are required, as draft 3 has it."""
    if isinstance(properties, list):
        properties = {str(one.get("name")): one for one in properties if isinstance(one, Mapping)}
    named = properties.items() if isinstance(properties, Mapping) else ()
    return [
        str(name) for name, one in named if isinstance(one, Mapping) and flag(one.get("required")) is True
    ]


def called(schema: Any, name: str) -> Any:
    """With a word on how the tool itself calls it."""
    if not isinstance(schema, dict):
        return schema
    words = f"{schema.get('description', '')} (its own name: {plain(name)})".strip()
    return {**schema, "description": words}


def words_in(schema: Mapping[str, Any]) -> str:
    return str(plain(str(schema.get("description") or "")))


def either_of(kinds: Any) -> str:
    return kinds if isinstance(kinds, str) else " or ".join(kinds)
