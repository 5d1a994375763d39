"""Settles the calls of a worker whose lease has ended, however it ended.

The evidence of what the worker has begun: it was shown the event of a call, or it was not. That is written down before
it is shown, and nobody is shown anything under a lease that has ended. Each call that it was shown, and that has no
result, may therefore have taken effect, and gets a result that says so before another worker can get the session. It
has begun no other one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, select, update

from app.conversation.managed_events import WORKER_TOOLS, client_result_body
from app.errors import NotFound
from app.managed_ids import new_id, result_event_id
from app.store.call_decisions import Decided, decisions
from app.store.clock import ago, now
from app.store.columns import one_of
from app.store.engine import Database
from app.store.managed_tables import told_events, work_items
from app.store.queued_work import QUEUE_WORK, new_work
from app.store.run_rows import live_run_row
from app.store.session_rows import find_session
from app.store.tables import tool_calls
from app.store.told_events import Told, database_time, event_row, place, tell, told
from app.store.work_rows import WorkItem, is_archived, locked

Json = dict[str, Any]

MOST: Final = 100
ATTEMPTS: Final = 3
"""Workers in a row that may give up a session without having looked at it."""

LOST: Final = (
    "The outcome of this call is unknown: the worker that could make it was lost before it sent a result. The call may "
    "or may not have taken effect. It is not made again."
)
STOPPED: Final = (
    "The outcome of this call is unknown: its work was stopped before there was a result. The call may or may not have "
    "taken effect. It is not made again."
)
NOT_MADE: Final = "This call was not made: no worker has taken it up."


@dataclass(frozen=True, slots=True)
class _Left:
    """The calls without a result that a worker makes. `begun` may have taken effect."""

    begun: Sequence[Told]
    untouched: Sequence[Told]


class WorkSettling:
    """Any thread of any process may call it; each end is seen to once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def due(self, environment_id: str | None = None) -> list[tuple[str, str]]:
        """Items whose lease has ended, and which nobody has seen to, with their sessions."""
        query = select(work_items.c.id, work_items.c.session_id).where(
            work_items.c.lease_expires_at <= ago(0)
        )
        if environment_id is not None:
            query = query.where(work_items.c.environment_id == environment_id)
        with self._database.reading() as connection:
            return [(row.id, row.session_id) for row in connection.execute(query.limit(MOST))]

    def settle(self, item_id: str, session_id: str) -> bool:
        """Gives calls that the worker may have begun their results, and queues the session again where it needs another
        worker. False if somebody else has done so."""
        with self._database.writing() as connection:
            try:
                find_session(connection, session_id, lock=True)
                item = locked(connection, item_id)
            except NotFound:
                return False
            due = select(work_items.c.id).where(
                work_items.c.id == item_id, work_items.c.lease_expires_at <= now()
            )
            if connection.execute(due).first() is None:
                return False
            rows = _settle(connection, item)
            if rows:
                if live_run_row(connection, session_id) is None:
                    place(connection, session_id, rows)
                tell(connection, rows)
                self._database.notify(connection, session_id)
            return True


def _settle(connection: Connection, item: WorkItem) -> list[Json]:
    """The events that tell of it. A worker that leaves calls which it was not shown was only a moment too early."""
    at = database_time(connection)
    left = _left(connection, item)
    is_lost, is_archived_ = item.state != "stopped", is_archived(connection, item.session_id)
    attempts = item.attempts + 1 if item.shown is None else 0
    goes_on = (
        not is_archived_ and attempts < ATTEMPTS and item.state != "stopping" and (is_lost or item.given_up)
    )
    again = goes_on and (is_lost or bool(left.untouched))
    values: Json = {"lease_expires_at": None}
    if is_lost and again:
        values |= _QUEUED | {"queued_at": now(), "former_digest": item.token_digest, "attempts": attempts}
    elif is_lost:
        values |= {"state": "stopped", "stopped_at": now()}
    connection.execute(update(work_items).where(work_items.c.id == item.id).values(values))
    if again and not is_lost:
        QUEUE_WORK.run(connection, new_work(item.session_id, item.environment_id, at=at, attempts=attempts))
    closed = [(call, LOST if is_lost else STOPPED) for call in left.begun]
    closed += [(call, NOT_MADE) for call in left.untouched if not again]
    rows = [_result(item, call, words, at) for call, words in closed]
    if left.begun or (left.untouched and not (again and item.shown is not None)):
        rows.insert(0, _error(item, left, again=again, at=at))
    return rows


_QUEUED: Final[Json] = {
    "state": "queued",
    "claimed_at": None,
    "acknowledged_at": None,
    "started_at": None,
    "latest_heartbeat_at": None,
    "shown": None,
    "token_digest": None,
}


def _left(connection: Connection, item: WorkItem) -> _Left:
    calls, shown = list(_open_calls(connection, item.session_id)), item.shown or 0
    begun = [call for call in calls if (call.number or 0) <= shown]
    return _Left(begun, [call for call in calls if call not in begun])


def _open_calls(connection: Connection, session_id: str) -> Iterator[Told]:
    """The calls that a worker may make now, and that have no result."""
    of_call = (tool_calls.c.session_id == told_events.c.session_id) & (
        tool_calls.c.id == told_events.c.call_id
    )
    query = (
        select(told_events)
        .join(tool_calls, of_call)
        .where(
            told_events.c.session_id == session_id,
            told_events.c.type == "agent.tool_use",
            one_of(tool_calls.c.state, ("pending", "running", "awaiting_approval", "awaiting_input")),
        )
        .order_by(told_events.c.number)
    )
    uses = [told(row) for row in connection.execute(query)]
    decided = decisions(connection, session_id, [str(use.call_id) for use in uses])
    for use in uses:
        known = decided.get(str(use.call_id), Decided())
        permission = use.body.get("evaluated_permission")
        if permission == "ask" and known.confirmation is not None:
            permission = "deny" if known.is_denied else "allow"
        if use.body["name"] in WORKER_TOOLS and permission == "allow" and known.result is None:
            yield use


def _result(item: WorkItem, use: Told, words: str, at: float) -> Json:
    call_id = str(use.call_id)
    body = client_result_body("user.tool_result", use.id, {"content": words, "is_error": True})
    event = result_event_id(item.session_id, call_id)
    return event_row(item.session_id, event, "user.tool_result", body, at=at, number=None, call_id=call_id)


def _error(item: WorkItem, left: _Left, *, again: bool, at: float) -> Json:
    count = len(left.begun) or len(left.untouched)
    ended = "lost its lease" if item.state != "stopped" else "ended"
    words = f"Work {item.id} {ended} without the results of {count} tool call{'s' if count > 1 else ''}."
    if left.begun:
        words += " Their outcome is unknown; they are not made again."
    elif again:
        words += " It is queued again."
    else:
        words += " They are not made."
    retry = "retrying" if left.begun or again else "exhausted"
    error = {"type": "unknown_error", "message": words, "retry_status": {"type": retry}}
    row = event_row(item.session_id, new_id("sevt"), "session.error", {"error": error}, at=at, number=None)
    return {**row, "processed_at": at}  # a run may come to it later; this is when it happened
