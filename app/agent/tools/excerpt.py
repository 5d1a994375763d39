"""A part of a text, lines with their line ends, that says which part it is and how to read on."""

from __future__ import annotations

from typing import Final

from app.agent.tools.output_limit import readable

SPARE: Final = 300  # bytes, for the words about the rest


def excerpt(words: str, room: int, *, offset: int = 1, limit: int = 0, column: int = 1) -> str:
    """The lines from number `offset` on, at most `limit` of them (0: all), the first from character `column` on; as
    many as fit into `room` bytes. A whole text that fits comes as it is; of a longer line comes what fits."""
    offset, column = max(offset, 1), max(column, 1)
    if (offset, column) == (1, 1) and limit <= 0 and _size(words) <= room:
        return words
    lines = words.split("\n")
    wanted = lines[offset - 1 : offset - 1 + limit] if limit > 0 else lines[offset - 1 :]
    if not wanted:
        return f"[There is no line {offset}: there are {len(lines)} lines.]"
    wanted[0] = wanted[0][column - 1 :]
    shown, left = [], max(room - SPARE, 1)
    for line in wanted:
        size = _size(line) + 1
        if size > left:
            break
        shown.append(line)
        left -= size
    if not shown:
        part = readable(wanted[0].encode("utf-8", "replace")[:left])
        following = column + len(part)
        return (
            f"{part}\n\n[Characters {column} to {following - 1} of line {offset} of {len(lines)} are shown. "
            f"Read on with offset {offset} and column {following}.]"
        )
    last = offset + len(shown) - 1
    text = "\n".join(shown)
    if last == len(lines):
        return text
    return (
        f"{text}\n\n[Lines {offset} to {last} of {len(lines)} are shown. Read on with offset {last + 1}; "
        "limit says how many lines you want.]"
    )


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
