"""One lock per session and process. Nobody ever waits for it: it is taken at once or not at all."""

from __future__ import annotations

import threading

from app.errors import SessionBusy


class Claim:
    """A session's lock, held. Whoever has the claim may release it, from any thread and more than once."""

    def __init__(self, locks: SessionLocks, session_id: str, lock: threading.Lock) -> None:
        self._locks = locks
        self._session_id = session_id
        self._lock = lock

    def release(self) -> None:
        """Frees the session. A second call does nothing, even if somebody else holds the session by then."""
        self._locks._release(self._session_id, self._lock)


class SessionLocks:
    """A `Lock`, not an `RLock`: it is released by another thread than took it, and must not be taken twice.

    A lock exists only while it is held, so idle sessions cost nothing.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()  # never held over anything that can block
        self._held: dict[str, threading.Lock] = {}

    def claim(self, session_id: str) -> Claim:
        """SessionBusy if somebody in this process holds it."""
        with self._guard:
            lock = self._held.get(session_id) or threading.Lock()
            if not lock.acquire(blocking=False):
                raise SessionBusy()
            self._held[session_id] = lock
        return Claim(self, session_id, lock)

    def _release(self, session_id: str, lock: threading.Lock) -> None:
        with self._guard:
            if self._held.get(session_id) is lock:
                del self._held[session_id]
                lock.release()

    def is_held(self, session_id: str) -> bool:
        """At this moment; for looking, never for deciding."""
        with self._guard:
            return session_id in self._held

    def held(self) -> frozenset[str]:
        """The sessions that are held at this moment; for looking, never for deciding."""
        with self._guard:
            return frozenset(self._held)
