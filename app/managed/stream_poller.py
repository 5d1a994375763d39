"""Wakes streams of this process for what their sessions' event logs don't tell: events that a client has sent between
two runs, to any process."""

from __future__ import annotations

import threading
from typing import Final, Protocol

from app.runtime.periodic_tasks import PeriodicTasks
from app.store.told_events import ToldEvents

LOOK_SECONDS: Final = 1.0


class PolledStream(Protocol):
    @property
    def session_id(self) -> str: ...

    @property
    def last(self) -> int:
        """The number of the last event that it has shown."""
        ...

    def look(self) -> None:
        """Has it look at the store soon. Does not block."""
        ...


class StreamPoller:
    """Any thread may call it. One query a second, while there are any."""

    def __init__(self, told: ToldEvents, tasks: PeriodicTasks) -> None:
        self._told = told
        self._guard = threading.Lock()
        self._all: set[PolledStream] = set()
        tasks.every(LOOK_SECONDS, self._look)

    def add(self, one: PolledStream) -> None:
        with self._guard:
            self._all.add(one)

    def remove(self, one: PolledStream) -> None:
        with self._guard:
            self._all.discard(one)

    def _look(self) -> None:
        with self._guard:
            streams = list(self._all)
        newest = self._told.newest({one.session_id for one in streams})
        for one in streams:
            if newest.get(one.session_id, 0) > one.last:
                one.look()
