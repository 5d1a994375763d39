"""Numbers of an agent file that remember how they were written."""

from __future__ import annotations

from typing import Any


class WrittenInt(int):
    """A whole number that remembers how it was written, for fields that are text: `version: 010`."""

    text: str


class WrittenFloat(float):
    """A number that remembers how it was written: `version: 1.10`."""

    text: str


def plain(value: Any) -> Any:
    """The value without places and spellings, for fields that hold any JSON."""
    match value:
        case dict():
            return {key: plain(inner) for key, inner in value.items()}
        case list():
            return [plain(inner) for inner in value]
        case WrittenInt():
            return int(value)
        case WrittenFloat():
            return float(value)
        case _:
            return value
