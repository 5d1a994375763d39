"""Rows of sessions of the Managed Agents API, for the transactions of all stores."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, bindparam, select

from app.conversation.run import Run
from app.errors import InvalidRequest
from app.store.prepared_statements import Prepared
from app.store.row_mapping import run_of
from app.store.run_rows import live_run_row
from app.store.session_rows import find_session
from app.store.tables import managed_sessions

_ARCHIVED: Final = Prepared(
    select(managed_sessions.c.session_id).where(
        managed_sessions.c.session_id == bindparam("of_session"), managed_sessions.c.archived_at.is_not(None)
    )
)


def refuse_archived(connection: Connection, session_id: str) -> None:
    """InvalidRequest for a session, whose row is locked, that was archived."""
    if _ARCHIVED.first(connection, {"of_session": session_id}) is not None:
        raise InvalidRequest("the session is archived")


def locked_run(connection: Connection, session_id: str) -> Run | None:
    """Locks the session, and before it the row of its run, as every write of a run does. The run, if there is one."""
    row = live_run_row(connection, session_id, lock=True)
    find_session(connection, session_id, lock=True)
    return None if row is None else run_of(row)
