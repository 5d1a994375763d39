"""The other sessions of a run's owner, as its tools may read them."""

from __future__ import annotations

from collections.abc import Sequence

from app.agent.tools.session_context import EarlierSession
from app.conversation.session import Session
from app.conversation.transcript import Message
from app.errors import SessionNotFound
from app.runtime.patience import Patience
from app.store.store import Store


class OwnersSessions:
    """For the runs of one session. Waits for a database that is away, as the run does."""

    def __init__(self, store: Store, session: Session, patience: Patience) -> None:
        self._owner = session.owner
        self._here = {session.id, session.parent_id}
        self._patience = patience
        self._sessions = store.sessions

    def newest(self, limit: int) -> Sequence[EarlierSession]:
        """The newest first, without tasks of other sessions."""
        most = limit + len(self._here)
        found = self._patience(lambda: self._sessions.summaries(owner=self._owner, limit=most))
        shown = [_earlier(one.session, one.num_messages) for one in found if one.session.id not in self._here]
        return shown[:limit]

    def read(self, session_id: str) -> tuple[EarlierSession, Sequence[Message]] | None:
        """None for one that is not there, or not the owner's."""
        if session_id in self._here:
            return None
        try:
            session, rows = self._patience(self._sessions.get_with_messages, session_id)
        except SessionNotFound:
            return None
        if session.owner != self._owner or session.parent_id:
            return None
        return _earlier(session, len(rows)), rows


def _earlier(session: Session, messages: int) -> EarlierSession:
    return EarlierSession(session.id, session.title, session.created_at, messages, session.starred)
