"""How many requests a name may make in a minute."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Final

from app.errors import RateLimited

MINUTE: Final = 60.0


class RateLimit:
    """A bucket for each name: full it holds a minute's requests, and it fills again steadily. Shared by the request
    threads of one process; every process counts for itself."""

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        """0 is no limit."""
        self._per_minute = per_minute
        self._clock = clock
        self._guard = threading.Lock()
        self._full_at: dict[str, float] = {}  # when a name's bucket would be full again, by the clock

    def take(self, name: str) -> None:
        """RateLimited, with the seconds after which there is room for one."""
        if not self._per_minute:
            return
        each = MINUTE / self._per_minute
        with self._guard:
            now = self._clock()
            full_at = max(self._full_at.get(name, now), now) + each
            if full_at - now > MINUTE:
                wait = math.ceil(full_at - now - MINUTE)
                raise RateLimited(
                    f"{self._per_minute} requests a minute are allowed; try again in {wait} s",
                    retry_after=wait,
                )
            self._full_at[name] = full_at
