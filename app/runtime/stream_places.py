"""How many streams may be open at once, since each holds a thread of the server until it ends."""

from __future__ import annotations

import threading

from app.errors import ServerFull


class Place:
    """One stream's place; given back from any thread, once, however often."""

    def __init__(self, places: StreamPlaces) -> None:
        self._places: StreamPlaces | None = places

    def give_back(self) -> None:
        places, self._places = self._places, None
        if places is not None:
            places._give_back()


class StreamPlaces:
    """Runs' own streams and readers alike take one."""

    def __init__(self, limit: int) -> None:
        self._guard = threading.Lock()
        self.limit = limit
        self._taken = 0

    def take(self, *, admitted: bool = False) -> Place:
        """ServerFull when there is none; never for a stream whose run was `admitted` already."""
        place = Place(self)  # before it is counted, so that nothing can fail in between
        with self._guard:
            if self._taken >= self.limit and not admitted:
                raise ServerFull()
            self._taken += 1
        return place

    @property
    def taken(self) -> int:
        return self._taken

    @property
    def full(self) -> bool:
        return self._taken >= self.limit

    def _give_back(self) -> None:
        with self._guard:
            self._taken -= 1
