"""A tar archive, written piece by piece: memory does not grow with what is in it."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import BinaryIO, Final

_PIECE: Final = 1 << 18
END: Final = bytes(2 * tarfile.BLOCKSIZE)
"""The end of an archive: one without it was cut off."""


def member(name: str, data: bytes, *, at: float) -> Iterator[bytes]:
    yield _head(name, len(data), at)
    yield data + _padding(len(data))


def file_member(name: str, size: int, file: BinaryIO, *, at: float) -> Iterator[bytes]:
    """A file has the size that it had at first: what is written to it meanwhile is left out, and what was taken away is
    made up for with zeros."""
    yield _head(name, size, at)
    left = size
    while left:
        piece = file.read(min(left, _PIECE)) or bytes(min(left, _PIECE))
        left -= len(piece)
        yield piece
    yield _padding(size)


def _head(name: str, size: int, at: float) -> bytes:
    head = tarfile.TarInfo(name)
    head.size, head.mtime, head.mode = size, int(at), 0o600
    return head.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)
