# Made of asynchronous/sse_frames.py by `make client`: change that one.
"""Frames of an event stream, as they come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from .connection import Answer

_MAX_DIGITS: Final = 20


def frames(answer: Answer) -> Iterator[tuple[int | None, str]]:
    """Whole frames only: the number and the data of each. A frame that was cut is no frame, and a number that is none
    does not count. HttpFailure if the stream breaks off."""
    number: int | None = None
    data: list[str] = []
    for line in _lines(answer):
        if not line:
            if data:
                yield number, "\n".join(data)
            number, data = None, []
        elif line.startswith(b"id:"):
            number = _number(line[3:].strip())
        elif line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" ").decode(errors="replace"))


def _lines(answer: Answer) -> Iterator[bytes]:
    rest: list[bytes] = []  # of a line that has not ended
    for piece in answer.pieces():
        first, *others = piece.split(b"\n")
        rest.append(first)
        for other in others:
            yield b"".join(rest).removesuffix(b"\r")
            rest = [other]


def _number(text: bytes) -> int | None:
    return int(text) if text.isdigit() and len(text) < _MAX_DIGITS else None
