"""One lock per session and process. Nobody ever waits for it: it is acquired at once or not at all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Literal


class SessionLock:
    """One caller's hold on a session, which begins with `acquire`. Any thread that has it may release it.

    Beneath it is a `threading.Lock`, not an `RLock`: another thread releases it than acquired it, and nobody may
    acquire it twice.
    """

    def __init__(self, locks: SessionLocks, session_id: str) -> None:
        self._locks = locks
        self._session_id = session_id
        self._lock = threading.Lock()

    def acquire(self, *, blocking: Literal[False]) -> bool:  # noqa: ARG002 - there is no other way
        """False if somebody in this process holds the session. Looking the lock up, acquiring it and registering it
        are one atomic step."""
        with self._locks._guard:
            lock = self._locks._held.setdefault(self._session_id, self._lock)
            return lock.acquire(blocking=False)

    def release(self) -> None:
        """Frees the session. A second call does nothing, even if somebody else holds the session by then."""
        with self._locks._guard:
            if self._locks._held.get(self._session_id) is not self._lock:
                return
            del self._locks._held[self._session_id]
            self._lock.release()
        for tell in self._locks._on_free:
            tell(self._session_id)


class SessionLocks:
    """The sessions that somebody in this process holds. A lock is registered only while it is held, so idle sessions
    cost nothing."""

    def __init__(self) -> None:
        self._guard = threading.Lock()  # never held over anything that can block
        self._held: dict[str, threading.Lock] = {}
        self._on_free: list[Callable[[str], None]] = []

    def lock_of(self, session_id: str) -> SessionLock:
        """Not acquired yet."""
        return SessionLock(self, session_id)

    def when_free(self, tell: Callable[[str], None]) -> None:
        """Has this called with the id of each session that is released from now on. It must not block or raise."""
        self._on_free.append(tell)

    def is_held(self, session_id: str) -> bool:
        """At this moment; for looking, never for deciding."""
        with self._guard:
            return session_id in self._held

    def held(self) -> frozenset[str]:
        """The sessions that are held at this moment; for looking, never for deciding."""
        with self._guard:
            return frozenset(self._held)
