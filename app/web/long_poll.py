"""Requests that wait for something to become true."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from app.errors import Draining
from app.runtime.live_runs import LiveRuns
from app.runtime.streams.disconnects import DisconnectWatcher
from app.runtime.streams.stream_slots import Slots
from app.web.access import own_name
from app.web.sse import client_left

LOOK_SECONDS: Final = 0.25


class LongPoll:
    """Shared by all request threads."""

    def __init__(self, runs: LiveRuns, slots: Slots, disconnects: DisconnectWatcher) -> None:
        self._runs = runs
        self._slots = slots
        self._disconnects = disconnects

    def until(self, is_true: Callable[[], bool], *, seconds: float) -> bool:
        """Looks again and again; False if it has not become true in time, or the client has left. A request that has to
        wait takes a stream's place, since it holds a thread: ServerFull, ShareTaken. Draining."""
        deadline = time.monotonic() + seconds
        if is_true():
            return True
        place = self._slots.take(own_name())
        try:
            with client_left(self._disconnects) as left:
                while not is_true():
                    if self._runs.draining:
                        raise Draining()
                    remaining = deadline - time.monotonic()
                    if remaining <= 0 or left.wait(min(remaining, LOOK_SECONDS)):
                        return False
                return True
        finally:
            place.give_back()
