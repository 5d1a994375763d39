"""Frames of an event stream, as they come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import requests

PIECE: Final = 512
"""Bytes read at once; a connection that breaks within them takes them along."""


def frames(response: requests.Response) -> Iterator[tuple[int | None, str]]:
    """Whole frames only: the number and the data of each. A frame that was cut is no frame."""
    number: int | None = None
    data: list[str] = []
    for line in _lines(response):
        if not line:
            if data:
                yield number, "\n".join(data)
            number, data = None, []
        elif line.startswith(b"id:"):
            number = int(line[3:])
        elif line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" ").decode())


def _lines(response: requests.Response) -> Iterator[bytes]:
    rest = b""
    # A piece ends with its chunk. Without chunks, as behind an old proxy, only a byte does not wait for more.
    size = PIECE if getattr(response.raw, "chunked", False) else 1
    for piece in response.iter_content(size):
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r")
