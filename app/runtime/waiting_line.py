"""Requests that wait for a session to be free: first come, first served, and not too many."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from app.errors import ServerFull


class Ticket:
    def __init__(self, line: deque[Ticket]) -> None:
        self._line = line
        self._called = threading.Event()

    @property
    def is_first(self) -> bool:
        return self._line[0] is self

    def call(self) -> None:
        self._called.set()

    def wait(self, timeout: float) -> None:
        """Until it is worth while to look again, at most `timeout` seconds."""
        self._called.wait(timeout)
        self._called.clear()


class WaitingLine:
    """Those who wait in this process; `limit` bounds them all, since each holds a thread."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._guard = threading.Lock()
        self._lines: dict[str, deque[Ticket]] = {}
        self._count = 0

    def __len__(self) -> int:
        """How many wait at this moment; for looking, never for deciding."""
        return self._count

    def is_waited_for(self, session_id: str) -> bool:
        with self._guard:
            return session_id in self._lines

    @contextmanager
    def ticket(self, session_id: str) -> Iterator[Ticket]:
        """A place at the end of the session's line. ServerFull if too many wait already."""
        with self._guard:
            if self._count >= self._limit:
                raise ServerFull("Too many requests wait for their session; try again in a moment.")
            line = self._lines.setdefault(session_id, deque())
            ticket = Ticket(line)
            line.append(ticket)
            self._count += 1
        try:
            yield ticket
        finally:
            with self._guard:
                line.remove(ticket)
                self._count -= 1
                if not line and self._lines.get(session_id) is line:
                    del self._lines[session_id]
            self.call_next(session_id)

    def call_next(self, session_id: str) -> None:
        """The session may be free: the first in line should look."""
        with self._guard:
            line = self._lines.get(session_id)
            if line:
                line[0].call()
