"""People's own changes to a conversation, with the session's baton in hand: no run can begin before they are done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from app.errors import SessionBusy
from app.runtime.manager import RuntimeManager
from app.store.held_conversation import HeldConversation
from app.store.store import Store


class ConversationEditor:
    """One for all request threads."""

    def __init__(self, store: Store, manager: RuntimeManager) -> None:
        self._store = store
        self._manager = manager

    @contextmanager
    def editing(self, session_id: str) -> Iterator[HeldConversation]:
        """Holds the process's lock over the whole change, and inside it the session's row, which shuts out the other
        processes. Changes made inside are stored at the end; an exception undoes them all. Never waits for a run:
        SessionBusy. Also SessionNotFound, StoreUnavailable."""
        lock = self._manager.lock(session_id)
        try:
            with self._store.claims.holding(session_id) as conversation:
                yield conversation
        finally:
            lock.release()

    @contextmanager
    def quiet(self, session_id: str) -> Iterator[None]:
        """Holds the process's lock, and nothing of the database: for what takes time and writes nothing there. Another
        process may begin a run meanwhile. SessionBusy, StoreUnavailable."""
        lock = self._manager.lock(session_id)
        try:
            if (run := self._store.runs.live_run(session_id)) is not None:
                raise SessionBusy(run=run)
            yield
        finally:
            lock.release()
