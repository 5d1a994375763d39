"""Sessions that had reached their budget go on when it is raised or removed, whichever process comes to it."""

from __future__ import annotations

from typing import Final

from app.runtime.manager import RuntimeManager
from app.store.managed_rows import RESUME
from app.store.store import Store

RESUME_SECONDS: Final = 3.0
AGAIN_SECONDS: Final = 60.0
"""Time between two attempts of sessions that could not go on."""


class Resuming:
    """Any thread may call it. That a session is to go on is stored with the change of its budget."""

    def __init__(self, store: Store, manager: RuntimeManager) -> None:
        self._store = store
        self._manager = manager

    def resume(self, session_id: str) -> None:
        """Unless a run has the session still: it may come to its end without having seen the change."""
        store = self._store
        if store.runs.live_run(session_id) is not None:
            return
        idle = store.told.last(session_id, "session.status_idle")
        paused = idle is not None and idle.body["stop_reason"]["type"] == "budget_reached"
        if not paused or self._manager.start_queued(session_id):
            store.jobs.forget(f"{RESUME}{session_id}")

    def resume_stranded(self) -> None:
        for job in self._store.jobs.due(RESUME):
            if self._store.jobs.take(job, period=AGAIN_SECONDS):
                self.resume(job.removeprefix(RESUME))
