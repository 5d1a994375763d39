"""Finds a run for its caller."""

from __future__ import annotations

from app import errors
from app.conversation.run import Run
from app.store.store import Store
from app.web.access import owner


def own_run(store: Store, run_id: str) -> Run:
    """RunNotFound, also for somebody else's: as if it were not there."""
    run = store.runs.get(run_id)
    try:
        store.sessions.get(run.session_id, owner=owner())
    except errors.SessionNotFound:
        raise errors.RunNotFound() from None
    return run
