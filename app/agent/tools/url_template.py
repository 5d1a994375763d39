"""Addresses with placeholders for a model's arguments: an argument never leaves its place."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

_PARTS: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^/?#]*)([^?#]*)(.*)", re.DOTALL)
_PLAIN: Final = re.compile(r"[!-\[\]-~]+")  # ASCII without white space and backslash
_LABEL: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?")
_MAX_DECODINGS: Final = 8
_DOTS: Final = (".", "..")
_PORTS: Final = {"http": 80, "https": 443}


class InvalidArgument(ValueError):
    """An argument that would change more of the address than its place; the message says which."""


def filled(template: str, place: re.Pattern[str], text: Callable[[re.Match[str]], str]) -> str:
    """The address, with what `text` says of each match of `place` in it.

    In the path an argument stays within its segment: a segment that is empty or made of dots, as any server on the way
    may decode it, is refused, and so are control characters. In the host an argument is one label. Elsewhere it is
    percent-encoded. Raises InvalidArgument.
    """
    parts = _PARTS.fullmatch(template)
    if parts is None:
        raise InvalidArgument(f"{template!r} is not an absolute address")
    authority, path, rest = parts.groups()
    return (
        place.sub(lambda match: _label(text(match)), authority)
        + "/".join(_segment(segment, place, text) for segment in path.split("/"))
        + place.sub(lambda match: _quoted(text(match)), rest)
    )


def is_at(url: str, addresses: Iterable[str]) -> bool:
    """Has the address the scheme, host and port of one of these? False for text that is no address."""
    try:
        return _origin(url) in [_origin(one) for one in addresses]
    except ValueError:
        return False


def _origin(url: str) -> tuple[str, str, int | None]:
    """ValueError also for a host that another parser could read differently, such as the one that connects."""
    found = _PARTS.fullmatch(url)
    if found is None or not _PLAIN.fullmatch(found[1]):
        raise ValueError("not an address that every parser reads alike")
    parts = urlsplit(url)
    scheme, host = parts.scheme.lower(), (parts.hostname or "").rstrip(".")
    return scheme, host, parts.port or _PORTS.get(scheme)


def _label(argument: str) -> str:
    if not _LABEL.fullmatch(argument):
        raise InvalidArgument(f"{argument!r} can't be a part of a host's name")
    return argument


def _segment(segment: str, place: re.Pattern[str], text: Callable[[re.Match[str]], str]) -> str:
    if not place.search(segment):
        return segment
    whole = place.sub(text, segment)
    if not _stays(whole):
        raise InvalidArgument(f"{whole!r} can't be one segment of a path")
    return place.sub(lambda match: _quoted(text(match)), segment)


def _stays(segment: str) -> bool:
    """Is it one segment with a name, however often it is decoded, with backslashes read as slashes, path parameters
    (`;x`) ignored and invisible characters left out?"""
    decoded = "".join(one for one in _decoded(segment) if unicodedata.category(one) != "Cf")
    if any(unicodedata.category(character) == "Cc" for character in decoded):
        return False
    names = [re.split("[;?#]", part)[0].strip() for part in re.split(r"[/\\]", decoded)]
    return any(names) and not any(name in _DOTS for name in names)


def _decoded(text: str) -> str:
    for _ in range(_MAX_DECODINGS):
        decoded = unicodedata.normalize("NFKC", unquote(text))
        if decoded == text:
            break
        text = decoded
    return text


def _quoted(argument: str) -> str:
    return quote(argument, safe="", errors="replace")


def argument_text(value: Any) -> str:
    """An argument in an address: nothing for none, text as it is, anything else as JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
