"""Requests that wait for a session to be free: first come, first served, and not too many."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from app.errors import ServerFull, SessionBusy
from app.runtime.streams.stream_slots import Slots

T = TypeVar("T")

POLL_SECONDS: Final = 0.25
"""Poll interval of a waiting request that nobody calls."""


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
    """The requests that wait in this process; `limit` bounds them all, since each holds a thread."""

    def __init__(self, *, limit: int, share: float = 1.0) -> None:
        self._slots = Slots(limit, share=share, what="waiting requests")
        self._guard = threading.Lock()
        self._lines: dict[str, deque[Ticket]] = {}

    def __len__(self) -> int:
        """How many wait at this moment; for looking, never for deciding."""
        return self._slots.taken

    def is_waited_for(self, session_id: str) -> bool:
        with self._guard:
            return session_id in self._lines

    @contextmanager
    def ticket(self, session_id: str, *, name: str = "") -> Iterator[Ticket]:
        """A place at the end of the session's line. ServerFull if too many wait already, ShareTaken if too many of
        that name do."""
        try:
            place = self._slots.take(name)
        except ServerFull:
            raise ServerFull("Too many requests wait for their session; try again in a moment.") from None
        with self._guard:
            line = self._lines.setdefault(session_id, deque())
            ticket = Ticket(line)
            line.append(ticket)
        try:
            yield ticket
        finally:
            with self._guard:
                line.remove(ticket)
                if not line and self._lines.get(session_id) is line:
                    del self._lines[session_id]
            place.give_back()
            self.call_next(session_id)

    def in_turn(
        self,
        session_id: str,
        act: Callable[[], T],
        *,
        seconds: float,
        gave_up: Callable[[], bool] = lambda: False,
        name: str = "",
    ) -> T:
        """Acts when its turn has come and the session is free. SessionBusy if that takes longer than so many seconds;
        ServerFull, ShareTaken."""
        deadline = time.monotonic() + seconds
        with self.ticket(session_id, name=name) as ticket:
            while True:
                try:
                    if ticket.is_first and not gave_up():
                        return act()
                except SessionBusy:
                    if time.monotonic() >= deadline:
                        raise
                if gave_up() or time.monotonic() >= deadline:
                    raise SessionBusy()
                ticket.wait(max(0.0, min(POLL_SECONDS, deadline - time.monotonic())))

    def call_next(self, session_id: str) -> None:
        """The session may be free: the first in line should look."""
        with self._guard:
            line = self._lines.get(session_id)
            if line:
                line[0].call()
