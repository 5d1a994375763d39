"""Rows of sessions of the Managed Agents API, for the transactions of all stores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, Double, Text, bindparam, insert, null, select

from app.conversation.run import Run
from app.errors import InvalidRequest
from app.store.managed_tables import (
    managed_sessions,
    mounted_stores,
    session_skills,
    told_events,
)
from app.store.prepared_statements import Prepared
from app.store.row_mapping import run_of
from app.store.run_rows import live_run_row
from app.store.session_rows import find_session
from app.store.told_events import Told

RESUME: Final = "resume "
"""Before a session's number: the name of the job of going on with it."""


IS_RESCHEDULED: Final = (
    select(told_events.c.type)
    .where(told_events.c.session_id == managed_sessions.c.session_id, told_events.c.number.is_not(None))
    .order_by(told_events.c.number.desc())
    .limit(1)
    .correlate(managed_sessions)
    .scalar_subquery()
) == "session.thread_status_rescheduled"
"""Was it told last that the session's run waits to ask its model again?"""


@dataclass(frozen=True, slots=True)
class Sent:
    """The events that were stored. `live`: a run has the session, and will come to it."""

    live: bool
    events: Sequence[Told]


_MANAGED: Final = Prepared(
    select(managed_sessions.c.session_id).where(managed_sessions.c.session_id == bindparam("of_session"))
)
_ARCHIVED: Final = Prepared(
    select(managed_sessions.c.session_id).where(
        managed_sessions.c.session_id == bindparam("of_session"), managed_sessions.c.archived_at.is_not(None)
    )
)

_copied: Final = {
    "session_id": bindparam("copy", type_=Text),
    "created_at": bindparam("made_at", type_=Double),
    "updated_at": bindparam("made_at", type_=Double),
    "archived_at": null(),
}
_COPIES: Final = [
    Prepared(
        insert(table).from_select(
            list(table.c),
            select(*(_copied.get(column.key, column) for column in table.c)).where(
                table.c.session_id == bindparam("of_session")
            ),
        )
    )
    for table in (managed_sessions, session_skills, mounted_stores)
]
"""A copy works in the same directory, so it has the same state of its memory stores."""


def is_managed(connection: Connection, session_id: str) -> bool:
    return _MANAGED.first(connection, {"of_session": session_id}) is not None


def copy_managed(connection: Connection, session_id: str, copy: str, *, made_at: float) -> None:
    """Makes a copy of a session of this API one, too."""
    for copied in _COPIES:
        copied.run(connection, {"of_session": session_id, "copy": copy, "made_at": made_at})


def refuse_archived(connection: Connection, session_id: str) -> None:
    """InvalidRequest for a session, whose row is locked, that was archived."""
    if _ARCHIVED.first(connection, {"of_session": session_id}) is not None:
        raise InvalidRequest("the session is archived")


def locked_run(connection: Connection, session_id: str) -> Run | None:
    """Locks the session, and before it the row of its run, as every write of a run does. The run, if there is one."""
    row = live_run_row(connection, session_id, lock=True)
    find_session(connection, session_id, lock=True)
    return None if row is None else run_of(row)
