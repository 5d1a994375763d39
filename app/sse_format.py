"""The form of server-sent events: the one file that writes them, and takes apart what was written here."""

from __future__ import annotations

from collections.abc import Sequence


def numbered(first: int, data: Sequence[bytes]) -> list[bytes]:
    """A frame for each line of data; the first one has that number."""
    return [b"id: %d\ndata: %b\n\n" % (number, line) for number, line in enumerate(data, first)]


def unnumbered(data: bytes) -> bytes:
    """A frame that leaves its reader's cursor where it is."""
    return b"data: %b\n\n" % data


def any_event(data: str, *, name: str = "", id: str = "", retry: int | None = None) -> bytes:
    """One frame with these fields, for data of any number of lines."""
    lines = [f"event: {name}"] if name else []
    lines += [f"id: {id}"] if id else []
    lines += [f"retry: {retry}"] if retry is not None else []
    lines += [f"data: {line}" for line in data.split("\n")]
    return ("\n".join(lines) + "\n\n").encode()


def comment(text: bytes) -> bytes:
    return b": %b\n\n" % text


def retry(milliseconds: int) -> bytes:
    """Tells the client how long to wait before it connects again."""
    return b"retry: %d\n\n" % milliseconds


def split(frames: bytes) -> list[bytes]:
    """The whole frames among these bytes, that have one line of data."""
    return [frame + b"\n\n" for frame in frames.split(b"\n\n")[:-1]]


def parse(frame: bytes) -> tuple[int | None, bytes]:
    """The number, if it has one, and the data of a frame with one line of data."""
    head, _, data = frame[:-2].partition(b"data: ")
    return (int(head[4:]) if head else None), data
