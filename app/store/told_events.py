"""Events as clients of the Managed Agents API are told them: stored with what they tell of, in one transaction.

A run numbers the events of its session while it holds the baton; an event that a client has sent has no number until a
run has come to it. Between runs whoever holds the session numbers on from the last.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import (
    Connection,
    bindparam,
    func,
    select,
    text,
)

from app.store.bulk_parameters import among, listed
from app.store.clock import now
from app.store.columns import one_of
from app.store.engine import Database, announces
from app.store.joined_writes import Write
from app.store.managed_tables import told_events
from app.store.outbox import ANNOUNCE, announcements
from app.store.outcome_writes import following
from app.store.prepared_statements import MAX_ROWS, Prepared, Values
from app.store.queued_work import QUEUE_WORK, new_work
from app.store.row_mapping import dump
from app.store.tables import sessions

Json = dict[str, Any]

_WORK: Final = "work"

THREAD_STOPS: Final = ("user.interrupt", "session.thread_status_terminated")
"""Types of the events by which clients stop a thread that they name."""

COPY: Final = "@"
"""Ends the stored id of an event that stands among those of a second session too: a thread's, or the one above it."""
QUEUED: Final = ("user.message", "system.message", "user.define_outcome")
"""Types of the events that wait in a session's queue, and get their place when a run takes them."""

STEP: Final = 1e-6
"""Seconds between two events of one write: their times are in their order."""

_TELL: Final = Prepared(
    text(
        "INSERT INTO told_events (id, session_id, number, type, call_id, created_at, processed_at, body_json) VALUES "
        "(:id, :session_id, :number, :type, :call_id, :created_at, :processed_at, :body_json) "
        "ON CONFLICT (id) DO UPDATE SET number = excluded.number, processed_at = excluded.processed_at"
    )
)
"""An event that is there already gets its place."""

_of_session: Final = told_events.c.session_id == bindparam("of_session")
_placed_here: Final = select(told_events).where(_of_session, told_events.c.number.is_not(None))
_NEWEST: Final = Prepared(_placed_here.order_by(told_events.c.number.desc()).limit(1))
_NOW: Final = Prepared(select(now()))
_ONE: Final = Prepared(
    select(told_events).where(
        _of_session, told_events.c.id.in_([bindparam("event_id"), bindparam("copied_id")])
    )
)
_LAST: Final = Prepared(
    _placed_here.where(told_events.c.type == bindparam("kind")).order_by(told_events.c.number.desc()).limit(1)
)
_WAITING: Final = Prepared(
    select(told_events)
    .where(_of_session, told_events.c.number.is_(None), ~one_of(told_events.c.type, QUEUED))
    .order_by(told_events.c.created_at, told_events.c.id)
)
_AFTER: Final = Prepared(
    select(told_events)
    .where(_of_session, told_events.c.number > bindparam("after"))
    .order_by(told_events.c.number)
    .limit(MAX_ROWS)
)

_NEWEST_OF: Final = Prepared(
    select(
        sessions.c.id,
        select(func.max(told_events.c.number))
        .where(told_events.c.session_id == sessions.c.id)
        .scalar_subquery()
        .label("newest"),
    ).where(among(sessions.c.id, "those"))
)
"""A look into an index for each session, however many events it has."""


@dataclass(frozen=True, slots=True)
class Told:
    """An event. Times are seconds since the epoch; without a number no run has come to it yet."""

    id: str
    type: str
    number: int | None
    processed_at: float | None
    body: Json
    call_id: str | None = None


@dataclass(frozen=True, slots=True)
class LastPlace:
    """The number and the time of a session's last event, and the time now, by the database's clock."""

    number: int
    at: float
    now: float


class OpenWork(NamedTuple):
    """The `span.model_request_start` without an end, if there is one; and whether the session was told to be idle last,
    or nothing yet. It was not where a process has died after it went on with what the session was idle for."""

    request: str
    is_idle: bool


def tell(connection: Connection, rows: Sequence[Values]) -> None:
    for write in _telling(rows, announces(connection)):
        write.do(connection)


def _telling(rows: Sequence[Values], announced: bool) -> list[Write]:
    """With what follows from the events, and what webhooks have to tell of them, if that is wanted."""
    writes = [Write(_TELL, rows[at : at + MAX_ROWS]) for at in range(0, len(rows), MAX_ROWS)]
    writes += (Write(statement, [values]) for statement, values in following(rows))
    if announced and (said := announcements(rows)):
        writes.append(Write(ANNOUNCE, said))
    return writes


def rows_of(writes: Sequence[Write]) -> list[Values]:
    """The events that these writes tell."""
    return [row for write in writes if write.statement is _TELL for row in write.rows]


def database_time(connection: Connection) -> float:
    return float(_NOW.scalar(connection))


def last_place(connection: Connection, session_id: str) -> LastPlace:
    row, time = _NEWEST.first(connection, {"of_session": session_id}), database_time(connection)
    return LastPlace(0, 0.0, time) if row is None else LastPlace(row.number, row.processed_at, time)


def place(connection: Connection, session_id: str, rows: Sequence[Json]) -> None:
    """Gives rows their places behind the session's last event. For whoever holds the session, and is no run."""
    last = last_place(connection, session_id)
    at = max(last.now, last.at + STEP)
    for index, row in enumerate(rows):
        row.update(number=last.number + 1 + index, processed_at=at + index * STEP)


def last_body(connection: Connection, session_id: str, kind: str) -> Json | None:
    """What the newest event of that type says."""
    row = _LAST.first(connection, {"of_session": session_id, "kind": kind})
    return None if row is None else told(row).body


def open_request(connection: Connection, session_id: str) -> str | None:
    """The `span.model_request_start` without an end, if there is one."""
    values = {"of_session": session_id}
    start = _LAST.first(connection, values | {"kind": "span.model_request_start"})
    end = _LAST.first(connection, values | {"kind": "span.model_request_end"})
    return None if start is None or (end is not None and end.number > start.number) else str(start.id)


def _is_idle(connection: Connection, session_id: str) -> bool:
    begun, ended = (
        _LAST.first(connection, {"of_session": session_id, "kind": f"session.status_{status}"})
        for status in ("running", "idle")
    )
    return begun is None or (ended is not None and ended.number > begun.number)


def waiting(connection: Connection, session_id: str) -> list[Told]:
    """The events that no run has come to, but for messages."""
    return [told(row) for row in _WAITING.all(connection, {"of_session": session_id})]


def stored(connection: Connection, session_id: str, event_ids: Sequence[str]) -> dict[str, Told]:
    """Those of these events that are there already, by their ids."""
    wanted = [*event_ids, *(one + COPY for one in event_ids)]
    query = select(told_events).where(told_events.c.session_id == session_id, told_events.c.id.in_(wanted))
    return {event.id: event for event in map(told, connection.execute(query))}


class ToldEvents:
    def __init__(self, database: Database) -> None:
        self._database = database

    def writes(self, rows: Sequence[Values]) -> Sequence[Write]:
        """What a run's write takes with it (`Baton.told`): events, and work that they make necessary."""
        work = [Write(QUEUE_WORK, [new_work(**row[_WORK])]) for row in rows if _WORK in row]
        events = [row for row in rows if _WORK not in row]
        return [*_telling(events, self._database.announces), *work]

    def last_place(self, session_id: str) -> LastPlace:
        with self._database.glance() as connection:
            return last_place(connection, session_id)

    def waiting(self, session_id: str) -> list[Told]:
        """The events that no run has come to, but for messages."""
        with self._database.glance() as connection:
            return waiting(connection, session_id)

    def open_work(self, session_id: str) -> OpenWork:
        with self._database.glance() as connection:
            return OpenWork(open_request(connection, session_id) or "", _is_idle(connection, session_id))

    def open_calls(self, session_id: str) -> dict[str, Told]:
        """The calls that the session was idle for when it last became so, with the event of each."""
        idle = self.last(session_id, "session.status_idle")
        event_ids = idle.body["stop_reason"].get("event_ids") if idle is not None else None
        return self._about_calls(session_id, event_ids or ())

    def _about_calls(self, session_id: str, event_ids: Sequence[str]) -> dict[str, Told]:
        """Those of these events that tell of calls, by the call."""
        with self._database.reading() as connection:
            found = stored(connection, session_id, event_ids)
        return {event.call_id: event for event in found.values() if event.call_id is not None}

    def newest(self, session_ids: Collection[str]) -> dict[str, int]:
        """The number of the last event of each of these sessions that has any."""
        if not session_ids:
            return {}
        with self._database.glance() as connection:
            rows = _NEWEST_OF.all(connection, {"those": listed(sorted(session_ids))})
            return {row.id: row.newest for row in rows if row.newest is not None}

    def after(self, session_id: str, number: int) -> list[Told]:
        """The events that a run has come to since that number, in order; some hundred at most."""
        with self._database.glance() as connection:
            rows = _AFTER.all(connection, {"of_session": session_id, "after": number})
            return [told(row) for row in rows]

    def last(self, session_id: str, kind: str) -> Told | None:
        """The newest event of that type that a run has come to."""
        with self._database.glance() as connection:
            row = _LAST.first(connection, {"of_session": session_id, "kind": kind})
            return None if row is None else told(row)

    def find(self, session_id: str, event_id: str) -> Told | None:
        with self._database.glance() as connection:
            values = {"of_session": session_id, "event_id": event_id, "copied_id": event_id + COPY}
            row = _ONE.first(connection, values)
            return None if row is None else told(row)


def told(row: Any) -> Told:
    event_id = row.id.removesuffix(COPY)
    return Told(event_id, row.type, row.number, row.processed_at, orjson.loads(row.body_json), row.call_id)


def told_row(row: Json) -> Told:
    """Of a row that `event_row` has made."""
    body = orjson.loads(row["body_json"])
    return Told(row["id"], row["type"], row["number"], row["processed_at"], body, row["call_id"])


def needed_work(session_id: str, environment_id: str, *, at: float) -> Json:
    """Stands among the rows of events: a worker is to get the session, unless one has it."""
    return {_WORK: {"session_id": session_id, "environment_id": environment_id, "at": at}}


def event_row(
    session_id: str,
    event_id: str,
    kind: str,
    body: Json,
    *,
    at: float,
    number: int | None,
    call_id: str | None = None,
) -> Json:
    """A row of the table. Without a number it is an event that no run has come to."""
    return {
        "id": event_id,
        "session_id": session_id,
        "number": number,
        "type": kind,
        "call_id": call_id,
        "created_at": at,
        "processed_at": None if number is None else at,
        "body_json": dump(body),
    }
