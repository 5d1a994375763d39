"""Searches texts with one regular expression, in a process of its own; `regex_search` starts it as a script.

Python's regular expressions can take longer than the universe for a short text, hold the interpreter's lock
meanwhile, and can't be interrupted. A process can be killed; and it ends by itself, at a limit, should the
server be gone before it could do that.

Reads frames (8 bytes of length, then that many bytes): the pattern, then texts. Answers each with one line
of JSON: for the pattern null or what is wrong with it, for a text a list of [line, start, end] with the first
match of each line, counted in characters.
"""

from __future__ import annotations

import json
import re
import resource
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

_MAX_MATCHES = 1_000
_MAX_SECONDS = 60
_MAX_MEMORY = 1 << 30


def frames() -> Iterator[str]:
    while header := sys.stdin.buffer.read(8):
        size = int.from_bytes(header, "big")
        yield sys.stdin.buffer.read(size).decode("utf-8", "surrogateescape")


def answer(value: Any) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def spans(pattern: re.Pattern[str], text: str) -> Iterator[tuple[int, int, int]]:
    for number, line in enumerate(text.split("\n")):
        found = pattern.search(line)
        if found:
            yield number, found.start(), found.end()


def _limit(name: str, value: int) -> None:
    """As far as the system knows such a limit: macOS takes none for memory."""
    with suppress(AttributeError, OSError, ValueError):
        resource.setrlimit(getattr(resource, name), (value, value))


def main() -> None:
    _limit("RLIMIT_CPU", _MAX_SECONDS)
    _limit("RLIMIT_AS", _MAX_MEMORY)
    texts = frames()
    try:
        pattern = re.compile(next(texts), re.ASCII)
    except (re.error, RecursionError, OverflowError) as error:
        answer(str(error))
        return
    answer(None)
    for text in texts:
        found = [span for span, _ in zip(spans(pattern, text), range(_MAX_MATCHES), strict=False)]
        answer(found)


if __name__ == "__main__":
    main()
