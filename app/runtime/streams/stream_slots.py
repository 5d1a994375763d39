"""Places of what a process has only so many of: streams, threads of requests, runs. A name can't take them all."""

from __future__ import annotations

import math
import threading
from collections import Counter

from app.errors import ServerFull, ShareTaken


class Slot:
    """One place that is taken; given back from any thread, once, however often."""

    def __init__(self, slots: Slots, name: str) -> None:
        self._slots: Slots | None = slots
        self._name = name

    def give_back(self) -> None:
        slots, self._slots = self._slots, None
        if slots is not None:
            slots._give_back(self._name)


class Slots:
    """Shared by all threads. `share` is the part of them that one name may have; requests without a name, where no
    tokens are asked for, share nothing. `what` is for the refusal: "streams"."""

    def __init__(self, limit: int, *, share: float = 1.0, what: str = "places") -> None:
        self._guard = threading.Lock()
        self.limit = limit
        self.each = share_of(limit, share)
        self._what = what
        self._taken = 0
        self._by_name: Counter[str] = Counter()

    def take(self, name: str = "", *, admitted: bool = False) -> Slot:
        """ServerFull when there is none, ShareTaken when the name has its share; never for a stream whose run was
        `admitted` already."""
        place = Slot(self, name)  # before it is counted, so that nothing can fail in between
        with self._guard:
            if self._taken >= self.limit and not admitted:
                raise ServerFull()
            if name and self._by_name[name] >= self.each and not admitted:
                raise ShareTaken.of(name, self.each, self.limit, self._what)
            self._taken += 1
            if name:
                self._by_name[name] += 1
        return place

    @property
    def taken(self) -> int:
        return self._taken

    @property
    def full(self) -> bool:
        return self._taken >= self.limit

    def _give_back(self, name: str) -> None:
        with self._guard:
            self._taken -= 1
            self._by_name[name] -= 1
            if self._by_name[name] <= 0:
                del self._by_name[name]


def share_of(limit: int, share: float) -> int:
    return max(1, math.ceil(limit * share))
