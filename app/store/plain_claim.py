"""The claim that most requests make: nobody has the session, nothing limits it, and one message enters. Three writes,
and no look before: one round trip on PostgreSQL."""

from __future__ import annotations

from functools import cache
from typing import Final

from sqlalchemy import bindparam, exists, or_, update
from sqlalchemy.exc import IntegrityError

from app.conversation.safety import SafetyPolicy
from app.store.audit_notes import noting
from app.store.engine import Database
from app.store.event_segments import RESERVED_NUMBERS
from app.store.joined_writes import Write, is_as_seen, write_at_once
from app.store.prepared_statements import Prepared, Values
from app.store.row_mapping import run_of, session_of
from app.store.run_request import RunRequest
from app.store.run_rows import BegunRun, inserting_run
from app.store.session_rows import appending
from app.store.tables import IS_LIVE, runs, sessions

_here: Final = runs.c.session_id == bindparam("session_id")


def begin_plainly(
    database: Database, request: RunRequest, run: Values, starts_thinking: bool, policy: SafetyPolicy
) -> BegunRun | None:
    """None if the request or the session is not as plain as that, or somebody was a moment faster, and nothing was
    written; the caller finds out why. `run` is the new run's row (`run_rows.new_run_row`)."""
    if len(request.messages) != 1 or request.expected_position is not None:
        return None
    if request.idempotency is not None or request.model is not None:
        return None
    session_id, run_id = request.session_id, run["id"]
    here = {"session_id": session_id, "owner": request.visible_to, "agent": run["agent"]}
    claim = _claim(request.visible_to is not None, starts_thinking, bool(policy), request.name is not None)
    taken = 0 if database.joins_writes else RESERVED_NUMBERS
    begun = [
        inserting_run(run, taken=taken),
        appending(session_id, request.messages[0], run_id),
        *noting("run", session_id, run_id=run_id, detail=request.named),
    ]
    try:
        done = write_at_once(database, Write(claim, [here], "row"), begun)
    except IntegrityError:
        return None
    if done is None:
        return None
    row, inserted, position = done[:3]
    return BegunRun(run_of(inserted), session_of(row), int(position), int(row.next_event) - RESERVED_NUMBERS)


@cache
def _claim(of_owner: bool, thinking: bool, policy: bool, named: bool) -> Prepared:
    """The session's row is locked only if no run has it: one that writes has locked its own row before."""
    statement = update(sessions).where(
        sessions.c.id == bindparam("session_id"),
        sessions.c.parent_id.is_(None),
        or_(sessions.c.budget.is_(None), sessions.c.budget == 0),
        ~exists().where(_here, IS_LIVE),
        is_as_seen(sessions),
    )
    if of_owner:
        statement = statement.where(sessions.c.owner == bindparam("owner"))
    if thinking:  # else the session's first run switches it on
        statement = statement.where(or_(sessions.c.thinking, exists().where(_here)))
    if not named:  # else the agent that the session was given to begins
        statement = statement.where(sessions.c.handed_to.in_(["", bindparam("agent")]))
    if policy:  # else the session's first run sets it
        chosen = or_(sessions.c.tools_approved, sessions.c.safety_policy.is_not(None))
        statement = statement.where(or_(chosen, exists().where(_here)))
    numbered = statement.values(next_event=sessions.c.next_event + RESERVED_NUMBERS)
    return Prepared(numbered.returning(sessions))
