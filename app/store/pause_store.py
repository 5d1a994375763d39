"""Pauses that somebody wants of a session's run. Each public method is one transaction."""

from __future__ import annotations

from collections.abc import Callable

from app.store.audit_notes import note
from app.store.delegated_sessions import refuse_lent
from app.store.engine import Database
from app.store.row_mapping import run_of
from app.store.run_rows import live_run_row
from app.store.session_rows import find_session, set_pause


class PauseStore:
    def __init__(self, database: Database, changed: Callable[[], None]) -> None:
        """`changed` is called after each change: a run of this process has something to look at."""
        self._database = database
        self._changed = changed

    def toggle(self, session_id: str) -> bool | None:
        """Whether a pause is wanted from now on; None if the session's run is paused: its pause is ended by an answer.
        SessionNotFound; SessionBusy for a task that another session's run does: that is the run to pause."""
        with self._database.writing() as connection:
            # The run's row is locked before its session's, as every write of a run does it.
            row = live_run_row(connection, session_id, lock=True)
            run = run_of(row) if row is not None else None
            if run is not None and run.is_paused:
                return None
            refuse_lent(connection, find_session(connection, session_id, lock=True))
            wanted = set_pause(connection, session_id, wanted=True)
            if not wanted:
                set_pause(connection, session_id, wanted=False)
            run_id = run.id if run is not None else ""
            note(connection, "pause", session_id, run_id=run_id, detail="on" if wanted else "off")
        self._changed()
        return wanted
