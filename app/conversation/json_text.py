"""JSON as models and tools write it: half of a surrogate pair, which no database and no API takes, costs its character
and not the whole text."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import orjson

from app.conversation.blocks import is_deep

_HALF: Final = re.compile("[\ud800-\udfff]")


def loads(text: bytes | str) -> Any:
    """The value, with lone surrogates in it if the text has some: see `mended`. ValueError for what is no JSON, and for
    what is nested too deeply."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        # What else orjson refuses is no JSON, or is refused by this one too.
        pass
    try:
        value = json.loads(_decoded(text), parse_constant=_refused, parse_int=_number)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if is_deep(value):
        raise ValueError("nested too deeply")
    return value


def mended(value: Any) -> Any:
    """The same value, with U+FFFD for each lone surrogate in its texts. Two halves beside each other are a pair.
    ValueError if it is nested too deeply."""
    if isinstance(value, str):
        return whole(value)
    if is_deep(value):
        raise ValueError("nested too deeply")
    return _mended(value)


def _mended(value: Any) -> Any:
    match value:
        case str():
            return whole(value)
        case dict():
            return {whole(str(key)): _mended(inner) for key, inner in value.items()}
        case list():
            return [_mended(inner) for inner in value]
    return value


def whole(text: str) -> str:
    """The text with U+FFFD for each lone surrogate."""
    if text.isascii() or not _HALF.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _decoded(text: bytes | str) -> str:
    """Bytes that are not UTF-8 cost their characters."""
    if isinstance(text, str):
        return text
    try:
        return text.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return text.decode("utf-8", "replace")


def _refused(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _number(digits: str) -> int | float:
    """As orjson reads it."""
    value = int(digits)
    return value if -(2**63) <= value < 2**64 else float(value)
