"""Outcomes of sessions, as they stand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select

from app.conversation.outcome import Outcome
from app.store.bulk_parameters import among, listed
from app.store.engine import Database
from app.store.managed_tables import outcomes
from app.store.prepared_statements import Prepared

_OF: Final = Prepared(
    select(outcomes)
    .where(among(outcomes.c.session_id, "those"))
    .order_by(outcomes.c.session_id, outcomes.c.created_at, outcomes.c.id)
)


_ACTIVE: Final = Prepared(
    select(outcomes).where(
        outcomes.c.session_id == bindparam("of_session"), outcomes.c.completed_at.is_(None)
    )
)


def active(connection: Connection, session_id: str) -> Outcome | None:
    """The outcome of the session that has not come to its end."""
    row = _ACTIVE.first(connection, {"of_session": session_id})
    return None if row is None else _outcome(row)


class OutcomeStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    def active(self, session_id: str) -> Outcome | None:
        """The outcome of the session that has not come to its end; there is one at most."""
        with self._database.glance() as connection:
            return active(connection, session_id)

    def of(self, session_ids: Sequence[str]) -> dict[str, list[Outcome]]:
        """All outcomes of these sessions, in the order in which they were defined."""
        found: dict[str, list[Outcome]] = {}
        with self._database.glance() as connection:
            for row in _OF.all(connection, {"those": listed(session_ids)}):
                found.setdefault(row.session_id, []).append(_outcome(row))
        return found


def _outcome(row: Any) -> Outcome:
    return Outcome(
        row.id,
        row.session_id,
        row.description,
        row.rubric,
        row.max_iterations,
        row.iteration,
        row.result,
        row.explanation,
        row.completed_at,
        row.start_id,
    )
