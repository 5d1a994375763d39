"""Gives back to the system what the allocator keeps for later."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Final

from app.runtime.periodic_tasks import PeriodicTasks

STEP: Final = 8
"""So many streams more or fewer than when memory was last given back are worth the milliseconds that it takes."""

LOOK_SECONDS: Final = 1.0


class SpareMemory:
    """Beginning a stream takes twice the memory that the open stream needs, and glibc gives back only what lies at the
    top of its heaps. With other C libraries nothing is done."""

    def __init__(self, streams: Callable[[], int], tasks: PeriodicTasks) -> None:
        """`streams` says how many are open."""
        self._streams = streams
        self._trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        self._at_last = 0
        if self._trim is not None:
            tasks.every(LOOK_SECONDS, self.give_back)

    def give_back(self) -> bool:
        """Was it worth it?"""
        streams = self._streams()
        if self._trim is None or abs(streams - self._at_last) < STEP:
            return False
        self._at_last = streams
        self._trim(0)
        return True
