"""What clients of the Managed Agents API have decided on calls: whether they may be made, and what came of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection, Double, bindparam, or_, select

from app.conversation.run import WAITING
from app.store.bulk_parameters import among, listed
from app.store.clock import now
from app.store.columns import one_of
from app.store.engine import Database
from app.store.managed_tables import told_events
from app.store.tables import IS_LIVE, runs, tool_calls
from app.store.told_events import THREAD_STOPS, Told, told

CONFIRMATION: Final = "user.tool_confirmation"
RESULTS: Final = ("user.custom_tool_result", "user.tool_result")
DECISIONS: Final = (CONFIRMATION, *RESULTS)
"""Types of the events by which clients decide on calls."""

_DECIDED: Final = (
    select(told_events.c.session_id)
    .join(runs, runs.c.session_id == told_events.c.session_id)
    .join(tool_calls, (tool_calls.c.run_id == runs.c.id) & (tool_calls.c.id == told_events.c.call_id))
    .where(
        among(told_events.c.session_id, "those"),
        IS_LIVE,
        or_(
            (tool_calls.c.state == "awaiting_approval") & (told_events.c.type == CONFIRMATION),
            (tool_calls.c.state == "awaiting_input") & told_events.c.type.in_(RESULTS),
        ),
        told_events.c.created_at < now() - bindparam("seconds", type_=Double),
    )
    .distinct()
)
"""The sessions whose runs wait though their calls were decided on so long ago."""
_STOPPED: Final = (
    select(told_events.c.session_id)
    .where(
        among(told_events.c.session_id, "those"),
        told_events.c.number.is_(None),
        told_events.c.type.in_(THREAD_STOPS),
        told_events.c.created_at < now() - bindparam("seconds", type_=Double),
    )
    .distinct()
)
"""The ones that have, or whose threads have, something to stop for since then."""


@dataclass(frozen=True, slots=True)
class Decided:
    """What clients have decided on a call: whether it may be made, and what came of it where a client makes it."""

    confirmation: Told | None = None
    result: Told | None = None

    @property
    def is_denied(self) -> bool:
        return self.confirmation is not None and self.confirmation.body["result"] != "allow"

    def having(self, event: Told) -> Decided:
        """With one more decision."""
        if event.type == CONFIRMATION:
            return replace(self, confirmation=event)
        return replace(self, result=event)

    def event_for(self, question: str) -> Told | None:
        """The event that answers a question of that kind."""
        return self.confirmation if question == "approval" else self.result


def decisions(connection: Connection, session_id: str, call_ids: Sequence[str]) -> dict[str, Decided]:
    query = select(told_events).where(
        told_events.c.session_id == session_id,
        told_events.c.type.in_(DECISIONS),
        told_events.c.call_id.in_(call_ids),
    )
    found: dict[str, Decided] = {}
    for event in map(told, connection.execute(query)):
        call = str(event.call_id)
        found[call] = found.get(call, Decided()).having(event)
    return found


class CallDecisions:
    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, session_id: str, call_ids: Sequence[str]) -> dict[str, Decided]:
        """What clients have decided on each of these calls, as far as they have."""
        with self._database.reading() as connection:
            return decisions(connection, session_id, call_ids)

    def stranded(self, seconds: float) -> list[str]:
        """The sessions whose runs wait for what was decided so long ago: by a process that did not come to answer
        them."""
        waiting = (
            select(runs.c.session_id)
            .join(tool_calls, tool_calls.c.run_id == runs.c.id)
            .where(
                IS_LIVE,
                one_of(runs.c.status, WAITING),
                one_of(tool_calls.c.state, ("awaiting_approval", "awaiting_input")),
            )
        )
        with self._database.reading() as connection:
            found = sorted(set(connection.execute(waiting).scalars()))
            if not found:
                return []
            values = {"those": listed(found), "seconds": seconds}
            decided = {*connection.execute(_DECIDED, values).scalars()}
            return sorted(decided.union(connection.execute(_STOPPED, values).scalars()))
