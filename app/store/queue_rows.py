"""Rows of the queue, for the transactions of several stores: whether something waits for a session's next run."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, bindparam, exists, func, or_, select

from app.conversation.queued_message import QUEUE_KINDS
from app.store.columns import one_of
from app.store.prepared_statements import Prepared
from app.store.tables import queued_messages, runs

_of_session: Final = queued_messages.c.session_id == bindparam("session_id")
_waiting: Final = (
    select(queued_messages.c.id)
    .where(
        _of_session,
        queued_messages.c.taken_by.is_(None),
        one_of(queued_messages.c.kind, QUEUE_KINDS),  # a run can't take those of a newer version
    )
    .limit(1)
)
_began: Final = select(runs.c.started_at).where(runs.c.id == bindparam("run_id")).scalar_subquery()
_taken: Final = queued_messages.alias("taken")
_WAITING: Final = Prepared(_waiting)
_WAITING_ANEW: Final = Prepared(
    _waiting.where(
        or_(
            queued_messages.c.created_at > _began,
            exists().where(
                _taken.c.session_id == bindparam("session_id"), _taken.c.taken_by == bindparam("run_id")
            ),
        )
    )
)
_since: Final = select(func.min(queued_messages.c.created_at)).where(
    _of_session, queued_messages.c.taken_by.is_(None)
)
_BEGUN_SINCE: Final = Prepared(
    select(func.count())
    .select_from(runs)
    .where(runs.c.session_id == bindparam("session_id"), runs.c.started_at > _since.scalar_subquery())
)

MOST_TRIES: Final = 3
"""Runs that may die before they take a message. A message for which the process dies each time would otherwise end one
process after the other, with all that runs there."""


def waits(connection: Connection, session_id: str) -> bool:
    return _WAITING.first(connection, {"session_id": session_id}) is not None


def waits_anew(connection: Connection, session_id: str, failed: str) -> bool:
    """Does a message wait for which the run `failed`, the session's last, has not failed already? One that was there
    when the run began, and that it could not even take, would let the next run fail as well, and the one after it."""
    return _WAITING_ANEW.first(connection, {"session_id": session_id, "run_id": failed}) is not None


def is_worth_a_try(connection: Connection, session_id: str) -> bool:
    """Have fewer than `MOST_TRIES` runs begun since the oldest message that waits has come?"""
    return int(_BEGUN_SINCE.first(connection, {"session_id": session_id})[0]) < MOST_TRIES
