"""Sessions of delegated tasks: the run that gave a task away holds the task's session too, until it ends."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, bindparam, select

from app.errors import InvalidRequest, SessionBusy
from app.store.managed_tables import managed_sessions
from app.store.prepared_statements import Prepared
from app.store.row_mapping import Row, run_of
from app.store.tables import IS_LIVE, messages, runs

_LENDER: Final = Prepared(
    select(runs)
    .join(messages, messages.c.run_id == runs.c.id)
    .where(
        messages.c.session_id == bindparam("task"),
        messages.c.position == 0,  # the task's text was written by the run that gave it away
        runs.c.session_id != bindparam("task"),
        IS_LIVE,
    )
)
_HAS_THREADS: Final = Prepared(
    select(managed_sessions.c.session_id).where(managed_sessions.c.session_id == bindparam("above"))
)


def refuse_lent(connection: Connection, session: Row) -> None:
    """SessionBusy if the session, a row that is locked, is that of a task whose giver's run is at work: that run
    writes there with the baton of its own session. InvalidRequest for a thread of the Managed Agents API, where any
    later run of that session may write as well."""
    if session.parent_id is None:
        return
    if _HAS_THREADS.first(connection, {"above": session.parent_id}) is not None:
        raise InvalidRequest(
            "this is a thread of another session; only that session's agent sends messages to it"
        )
    row = _LENDER.first(connection, {"task": session.id})
    if row is not None:
        raise SessionBusy(run=run_of(row))
