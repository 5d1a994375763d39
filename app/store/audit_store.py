"""The audit trail. Entries are added and, when they are old, dropped; none is ever changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Final

from sqlalchemy import Connection, delete, insert, select

from app.conversation.audit_entry import AuditEntry
from app.store.engine import Database, ago, now
from app.store.prepared_statements import Prepared
from app.store.pruning import drop
from app.store.tables import audit

DAY: Final = 86_400
MAX_DETAIL: Final = 2_000  # characters


_SAID: Final = [field.name for field in fields(AuditEntry) if field.name not in ("id", "at")]
_ADD: Final = Prepared(insert(audit).values(at=now()), columns=_SAID)


class AuditStore:
    """`keep_days` is the age at which entries are dropped."""

    def __init__(self, database: Database, *, keep_days: float) -> None:
        self._database = database
        self._keep_days = keep_days

    def add(self, entry: AuditEntry) -> None:
        """For what is no transaction of its own, or was refused."""
        with self._database.writing() as connection:
            note(connection, entry)

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


def note(connection: Connection, entry: AuditEntry | None) -> None:
    """In the transaction of what was done, so that neither is there without the other. A long detail is cut."""
    if entry is not None:
        said = {name: getattr(entry, name) for name in _SAID}
        if len(entry.detail) > MAX_DETAIL:
            said["detail"] = f"{entry.detail[:MAX_DETAIL]}…"
        _ADD.run(connection, said)


def unsay(connection: Connection, session_id: str, run_id: str) -> None:
    """Takes back the entries about a run that was undone before anything came of it."""
    here = (audit.c.session_id == session_id) & (audit.c.run_id == run_id)
    connection.execute(delete(audit).where(here))
