"""How long a run has been at work. Time in which it waits for a person doesn't count."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

LIMIT: Final = "run_seconds"
"""Among a run's options, if it has a limit: settled when it begins, and the same wherever it goes on."""


def shortest(*limits: float) -> float:
    """The shortest of the limits, of which 0 is none."""
    return min((limit for limit in limits if limit > 0), default=0.0)


class RunClock:
    """Stopped and continued by the run's thread, read by any."""

    def __init__(
        self, limit: float = 0.0, *, worked: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """In seconds; a `limit` of 0 is none. `worked`: before, in another process."""
        self._limit = limit
        self._clock = clock
        self._state: tuple[float, float | None] = (
            worked,
            clock(),
        )  # replaced whole, so that readers need no lock

    @property
    def worked(self) -> float:
        worked, since = self._state
        return worked if since is None else worked + self._clock() - since

    @property
    def left(self) -> float:
        """0 if there is no limit; a moment if it is reached."""
        return max(self._limit - self.worked, 0.001) if self._limit else 0.0

    @property
    def is_over(self) -> bool:
        return 0 < self._limit <= self.worked

    def stop(self) -> None:
        self._state = (self.worked, None)

    def go_on(self) -> None:
        self._state = (self.worked, self._clock())
