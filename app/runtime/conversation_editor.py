"""Writes that are not a run's, with the session's baton in hand: no run can begin before they are done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from app.conversation.transcript import Message
from app.runtime.run_outcome import last_words
from app.runtime.runtime import Runtime
from app.store.store import Store


class ConversationEditor:
    """Holds the process's lock over the whole write, and inside it the session's row, which shuts out the other
    processes. Never waits for a run: SessionBusy, and nothing is changed. Also SessionNotFound, InvalidTranscript,
    StoreUnavailable. One for all request threads."""

    def __init__(self, store: Store, runtime: Runtime) -> None:
        self._store = store
        self._manager = runtime.manager
        self._probe = runtime.probe

    def add(self, session_id: str, new: Message, *, visible_to: str | None) -> int:
        """The position of the message in its session."""
        with self._held(session_id):
            return self._store.edits.add(
                session_id,
                new,
                probe=self._probe,
                last_words=last_words,
                visible_to=visible_to,
            )

    def edit(
        self,
        session_id: str,
        position: int,
        new: Message,
        *,
        visible_to: str | None,
    ) -> None:
        """MessageNotFound; InvalidTranscript also if the message there has another role."""
        with self._held(session_id):
            self._store.edits.edit(
                session_id,
                position,
                new,
                probe=self._probe,
                last_words=last_words,
                visible_to=visible_to,
            )

    def summarize(
        self,
        session_id: str,
        text: str,
        *,
        tokens: int | None,
        visible_to: str | None,
    ) -> None:
        """Puts a summary in the place of what was said so far, in what the model is shown."""
        with self._held(session_id):
            self._store.edits.summarize(
                session_id,
                text,
                tokens=tokens,
                probe=self._probe,
                last_words=last_words,
                visible_to=visible_to,
            )

    @contextmanager
    def _held(self, session_id: str) -> Iterator[None]:
        lock = self._manager.lock(session_id)
        try:
            yield
        finally:
            lock.release()
