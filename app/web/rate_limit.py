"""How many requests a name may make in a minute, over all processes."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from app.errors import RateLimited

SLICES: Final = 20
HOLD_SECONDS: Final = 10.0


class Allowance(Protocol):
    """The store of what each name has left: `app.store.quota_store.AccountStore`."""

    def take_requests(self, owner: str, wanted: int, *, per_minute: int) -> tuple[int, float]: ...


@dataclass(slots=True)
class _Hand:
    """The part of a name's allowance that this process has taken."""

    requests: int = 0
    until: float = 0.0  # unused, they are given up then
    refused_until: float = 0.0  # and so long nobody needs to ask again


class RateLimit:
    """Shared by the request threads of a process. It takes a twentieth of a minute's allowance at a time from the
    one that all processes share, so that not every request has to ask. Unused allowance is soon lost, not saved up:
    together the processes let no more through than one would.
    """

    def __init__(
        self, allowance: Allowance, per_minute: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """0 is no limit."""
        self._allowance = allowance
        self._per_minute = per_minute
        self._slice = max(1, per_minute // SLICES)
        self._clock = clock
        self._guard = threading.Lock()  # never held over the database
        self._hands: dict[str, _Hand] = {}

    def take(self, name: str) -> None:
        """RateLimited, with the seconds after which there is room for one. StoreUnavailable."""
        if not self._per_minute or self._has_one(name):
            return
        taken, wait = self._allowance.take_requests(name, self._slice, per_minute=self._per_minute)
        with self._guard:
            hand, now = self._hands[name], self._clock()
            if taken:
                hand.requests, hand.until = hand.requests + taken - 1, now + HOLD_SECONDS
                return
            hand.refused_until = now + wait
        self._refuse(wait)

    def _has_one(self, name: str) -> bool:
        with self._guard:
            hand, now = self._hands.setdefault(name, _Hand()), self._clock()
            if hand.requests and now < hand.until:
                hand.requests -= 1
                return True
            hand.requests = 0
            wait = hand.refused_until - now
        if wait > 0:
            self._refuse(wait)
        return False

    def _refuse(self, seconds: float) -> None:
        wait = max(1, math.ceil(seconds))
        raise RateLimited(
            f"{self._per_minute} requests a minute are allowed; try again in {wait} s", retry_after=wait
        )
