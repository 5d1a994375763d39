"""Reads a session's events through connections that are cut at random bytes, as bad networks do it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Protocol

from app.conversation.event_facts import as_stored

FRAME = re.compile(rb"id: (\d+)\ndata: [^\n]*\n\n")


class Connection(Protocol):
    """An open response."""

    def chunks(self) -> Iterator[bytes]: ...

    def hang_up(self) -> None: ...


Connect = Callable[[int], Connection]
"""Opens the session's stream after the event of that number."""


class Cutter:
    """A client that keeps whole events only, as a browser does, and asks for what follows the last of them.
    `cuts` says how often it was cut. No frame may be longer than twice `mean_bytes`: it would never arrive whole."""

    def __init__(self, random: Random, *, mean_bytes: int) -> None:
        self._random = random
        self._mean_bytes = mean_bytes
        self.cuts = 0

    def collect(self, servers: Sequence[Connect], *, after: int, last: int) -> bytes:
        """All frames after one number up to another, asked of the servers in random order."""
        frames = b""
        while after < last:
            read = self._read(self._random.choice(servers)(after), last)
            frames += read
            if found := FRAME.findall(read):
                after = int(found[-1])
        return frames

    def _read(self, connection: Connection, last: int) -> bytes:
        """The whole frames that came before the cut; without one once the last event was seen."""
        limit = self._random.randrange(2 * self._mean_bytes)
        received = b""
        try:
            for chunk in connection.chunks():
                received += chunk
                if len(received) >= limit or b"id: %d\n" % last in received:
                    break
        finally:
            connection.hang_up()
        seen = received.partition(b"id: %d\n" % last)[0]
        assert b'"type":"gap"' not in seen, f"nothing is missing up to {last}: {seen[:600]!r}"
        if len(received) > limit:
            received = received[:limit]
            self.cuts += 1
        return b"".join(match[0] for match in FRAME.finditer(received))


def numbered(raw: bytes) -> bytes:
    """A stream's numbered frames, without its comments, as any process can show them: what a command writes while it
    runs is not stored."""
    return b"".join(as_stored(match[0]) for match in FRAME.finditer(raw))
