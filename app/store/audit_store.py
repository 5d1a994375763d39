"""The audit trail. Entries are added and, when they are old, dropped; none is ever changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import select

from app.conversation.audit_entry import Action, AuditEntry
from app.store.audit_notes import is_asked, note
from app.store.clock import ago
from app.store.engine import Database
from app.store.pruning import drop
from app.store.tables import audit

DAY: Final = 86_400


class AuditStore:
    """`keep_days` is the age at which entries are dropped."""

    def __init__(self, database: Database, *, keep_days: float) -> None:
        self._database = database
        self._keep_days = keep_days

    def note(self, action: Action, session_id: str, *, run_id: str = "", detail: str = "") -> None:
        """For what is no transaction of its own, or was refused."""
        if is_asked():
            with self._database.writing() as connection:
                note(connection, action, session_id, run_id=run_id, detail=detail)

    def find(
        self,
        *,
        session_id: str | None = None,
        who: str | None = None,
        actions: Sequence[str] = (),
        since: float | None = None,
        before: int | None = None,
        limit: int,
    ) -> list[AuditEntry]:
        """Newest first; `since` is a time, `before` the id of an entry."""
        query = select(audit).order_by(audit.c.id.desc()).limit(limit)
        if session_id is not None:
            query = query.where(audit.c.session_id == session_id)
        if who is not None:
            query = query.where(audit.c.who == who)
        if actions:
            query = query.where(audit.c.action.in_(actions))
        if since is not None:
            query = query.where(audit.c.at >= since)
        if before is not None:
            query = query.where(audit.c.id < before)
        with self._database.reading() as connection:
            return [AuditEntry(**row._mapping) for row in connection.execute(query)]

    def prune(self) -> int:
        """Drops what is too old. Returns how many."""
        return drop(self._database, audit, audit.c.at < ago(self._keep_days * DAY))
