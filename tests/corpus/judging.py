"""Compares what a case expects with what was seen, and turns each expectation round to show that it can fail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from tests.corpus.case import Expected
from tests.corpus.recipes import made

NOT: Final = "not_"
BYTES: Final = frozenset({"left"})  # written as recipes
_NEVER: Final = "\0 nobody says this \0"

Seen = Mapping[str, Any]


def disagreements(expected: Expected, seen: Seen) -> list[str]:
    """One line for each expectation that does not hold. A text holds if it is found in what was seen, the empty one if
    that is empty."""
    return [
        f"{key}: expected {wanted!r}, seen {seen.get(key.removeprefix(NOT))!r}"[:3000]
        for key, wanted in expected.items()
        if not _holds(key, wanted, seen)
    ]


def turned_round(expected: Expected) -> Iterator[Expected]:
    """Each expectation alone, and then its contrary: none of them may hold where the case itself holds."""
    for key, wanted in expected.items():
        if key.startswith(NOT):
            yield {key: ""}
        elif key in BYTES:
            yield {key: [wanted, "more"]}
        elif isinstance(wanted, bool):
            yield {key: not wanted}
        elif isinstance(wanted, int | float):
            yield {key: wanted + 1}
        elif isinstance(wanted, Mapping):
            yield from ({key: {part: [value, _NEVER]}} for part, value in wanted.items())
        else:
            yield {key: [*_listed(wanted), _NEVER]}


def _holds(key: str, wanted: Any, seen: Seen) -> bool:
    name = key.removeprefix(NOT)
    if name not in seen:
        return False
    found = seen[name]
    if key.startswith(NOT):
        return all(text not in found for text in _listed(wanted))
    if key in BYTES:
        return bool(found == made(wanted))
    if isinstance(found, str):
        return all(text in found if text else not found for text in _listed(wanted))
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(found.get(part) == value for part, value in wanted.items())
    return bool(found == wanted)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
