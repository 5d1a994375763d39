"""Frames of an event stream, as they come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import requests

_MAX_DIGITS: Final = 20

PIECE: Final = 512
"""Bytes read at once; a connection that breaks within them takes them along."""


def frames(response: requests.Response) -> Iterator[tuple[int | None, str]]:
    """Whole frames only: the number and the data of each. A frame that was cut is no frame, and a number that is none
    does not count."""
    number: int | None = None
    data: list[str] = []
    for line in _lines(response):
        if not line:
            if data:
                yield number, "\n".join(data)
            number, data = None, []
        elif line.startswith(b"id:"):
            number = _number(line[3:].strip())
        elif line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" ").decode(errors="replace"))


def _lines(response: requests.Response) -> Iterator[bytes]:
    rest: list[bytes] = []  # of a line that has not ended
    # A piece ends with its chunk. Without chunks, as behind an old proxy, only a byte does not wait for more.
    size = PIECE if getattr(response.raw, "chunked", False) else 1
    for piece in response.iter_content(size):
        first, *others = piece.split(b"\n")
        rest.append(first)
        for other in others:
            yield b"".join(rest).removesuffix(b"\r")
            rest = [other]


def _number(text: bytes) -> int | None:
    return int(text) if text.isdigit() and len(text) < _MAX_DIGITS else None
