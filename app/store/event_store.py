"""The written part of the event logs: segments of facts."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection, bindparam, func, select, text, union

from app.conversation.run import Baton
from app.store.bulk_parameters import among, listed
from app.store.clock import ago
from app.store.engine import Database
from app.store.event_segments import RESERVED_NUMBERS, Segment, segment_of, write_segments
from app.store.fence import Fence, Fenced
from app.store.job_store import JobStore
from app.store.packed_facts import AS_SENT, pack
from app.store.prepared_statements import Prepared
from app.store.pruning import drop
from app.store.tables import (
    IS_LIVE,
    event_segments,
    runs,
    sessions,
)

LOCK_SECONDS: Final = 0.25
"""How long writing the segments of many runs waits for what is no row of theirs, such as an index that is being made:
their rows are locked meanwhile, so that no lease of theirs can be renewed."""

AT_WORK_WITHIN: Final = 600.0
"""Seconds; several times as long as pruning takes to come again. If it was away for longer, what it missed goes by its
age, or with the session's next run."""


READ_BYTES: Final = 512 << 10
"""Bytes of a session's events that are read at once, for a reader that has fallen behind."""


PACKING_JOB: Final = "pack events"
"""Not due for an hour after an upgrade from a version that can't read packed segments (migration 0005): its processes
may still be at work beside this one."""

ASK_SECONDS: Final = 60.0


class EventStore:
    def __init__(self, database: Database, fence: Fence, jobs: JobStore) -> None:
        self._database = database
        self._fence = fence
        self._jobs = jobs
        self._packs = False
        self._asks_at = 0.0  # monotonic

    def append(self, segments: Sequence[tuple[Baton, Segment]]) -> Fenced:
        """Stores segments of several live runs in one transaction, a constant number of statements; but none of
        a run that has lost its session, or whose session is gone. It never waits for a row that another transaction
        keeps locked: the segments of that run are not stored now. It waits for no disk, except where it reserves
        numbers: those must never come again. StoreUnavailable."""
        packs, reserved = self.may_pack(), 0
        with self._database.writing_undurably() as connection:
            self._database.wait_at_most(connection, LOCK_SECONDS)
            renewed = self._fence.hold(connection, [baton for baton, _ in segments])
            kept = [segment for baton, segment in segments if baton.run_id in renewed.done]
            free = _lock_sessions(connection, [segment.session_id for segment in kept])
            kept = [segment for segment in kept if segment.session_id in free]
            if kept:
                write_segments(connection, [_packed(segment) for segment in kept] if packs else kept)
                reserved = _reserve_numbers(connection, kept)
        if reserved:  # before half of them are used up
            self._database.sync()
        return Fenced(frozenset(segment.run_id for segment in kept), renewed.lost, renewed.quiet)

    def read(
        self, session_id: str, after: int, *, limit: int = 64, most_bytes: int = READ_BYTES
    ) -> list[Segment]:
        """Segments that hold events after that number, in order: at most so many, and of so many bytes together,
        unless the first one alone is larger. StoreUnavailable."""
        wanted = (event_segments.c.session_id == session_id) & (event_segments.c.last > after)
        in_order = event_segments.c.last
        sizes = select(in_order, func.length(event_segments.c.frames)).where(wanted)
        with self._database.reading() as connection:
            found = connection.execute(sizes.order_by(in_order).limit(limit))
            top = _last_within(((last, size) for last, size in found), most_bytes)
            query = select(event_segments).where(wanted, in_order <= top).order_by(in_order)
            rows = connection.execute(query).all()
        return list(_whole(rows, most_bytes))

    def may_pack(self) -> bool:
        """Can every process that shares the database read packed segments? StoreUnavailable."""
        if not self._packs and time.monotonic() >= self._asks_at:
            self._packs = self._jobs.is_due(PACKING_JOB)
            self._asks_at = time.monotonic() + ASK_SECONDS
        return self._packs

    def newest(self, session_ids: Sequence[str]) -> dict[str, int]:
        """The number of the newest stored event of each session that has one."""
        with self._database.glance() as connection:
            rows = _NEWEST.all(connection, {"those": listed(session_ids)})
        return {session_id: int(last) for session_id, last in rows if last is not None}

    def bounds(self, session_id: str) -> tuple[int, int]:
        """The numbers of the first and last stored event; (0, 0) if there is none."""
        with self._database.glance() as connection:
            first, last = _BOUNDS.first(connection, {"session_id": session_id})
        return first or 0, last or 0

    def last_of(self, session_id: str, run_id: str) -> int | None:
        """The number of the newest stored event of a run; None if there is none."""
        query = select(func.max(event_segments.c.last)).where(
            event_segments.c.session_id == session_id, event_segments.c.run_id == run_id
        )
        with self._database.reading() as connection:
            last = connection.execute(query).scalar_one()
            return None if last is None else int(last)

    def prune(
        self, *, older_than_seconds: float, keep_events: int, at_work_within: float | None = AT_WORK_WITHIN
    ) -> int:
        """Drops segments that are too old, or too far behind the newest of their session. Returns how many.

        Only sessions that had a run at work within so many seconds can have become too long since the last time;
        None looks at all of them, which costs what is stored.
        """
        dropped = drop(self._database, event_segments, event_segments.c.created_at < ago(older_than_seconds))
        for session_id in self._perhaps_too_long(keep_events, at_work_within):
            if (beyond := self._newest_too_many(session_id, keep_events)) is not None:
                too_far_behind = (event_segments.c.session_id == session_id) & (
                    event_segments.c.last <= beyond
                )
                dropped += drop(self._database, event_segments, too_far_behind)
        return dropped

    def _newest_too_many(self, session_id: str, keep_events: int) -> int | None:
        """The last number of the newest segment that has so many events after it. Events are counted: numbers jump
        after a crash."""
        count = event_segments.c.last - event_segments.c.first + 1
        newer = func.sum(count).over(order_by=event_segments.c.last.desc()) - count
        counted = select(event_segments.c.last, newer.label("newer")).where(
            event_segments.c.session_id == session_id
        )
        segments = counted.subquery("counted")
        query = select(func.max(segments.c.last)).where(segments.c.newer >= keep_events)
        with self._database.reading() as connection:
            last = connection.execute(query).scalar_one()
            return None if last is None else int(last)

    def _perhaps_too_long(self, keep_events: int, at_work_within: float | None) -> list[str]:
        """The sessions whose oldest and newest event have numbers so far apart."""
        if at_work_within is None:
            candidates = select(sessions.c.id.label("session_id")).subquery("candidates")
        else:
            ended = runs.c.ended_at > ago(at_work_within)
            candidates = union(
                select(runs.c.session_id).where(IS_LIVE), select(runs.c.session_id).where(ended)
            ).subquery("candidates")
        here = event_segments.c.session_id == candidates.c.session_id
        oldest = select(func.min(event_segments.c.last)).where(here).scalar_subquery()
        beyond = select(func.max(event_segments.c.last) - keep_events).where(here).scalar_subquery()
        query = select(candidates.c.session_id).where(oldest <= beyond)
        with self._database.reading() as connection:
            return list(connection.execute(query).scalars())


def _lock_sessions(connection: Connection, session_ids: Sequence[str]) -> set[str]:
    """Locks the sessions that a segment can refer to: all but what another transaction deletes or keeps from being
    referred to. SQLite locks no rows."""
    if connection.dialect.name == "sqlite":
        return set(session_ids)
    return {row.id for row in _FREE_SESSIONS.all(connection, {"those": listed(session_ids)})}


def _packed(segment: Segment) -> Segment:
    facts = pack(segment.session_id, segment.run_id, segment.facts, AS_SENT)
    return replace(segment, facts=facts) if len(facts) < len(segment.facts) else segment


def _whole(rows: Iterable[Any], most_bytes: int) -> Iterator[Segment]:
    """At least one, if there is one, and no more than so many bytes beyond it."""
    total = 0
    for row in rows:
        segment = segment_of(row)
        total += len(segment.facts)
        if total > most_bytes and total > len(segment.facts):
            return
        yield segment


def _last_within(sizes: Iterable[tuple[int, int]], most_bytes: int) -> int:
    """The last number, of segments' last numbers and sizes, up to which they are small enough together; that of the
    first one in any case."""
    total, top = 0, 0
    for last, size in sizes:
        total += size
        if top and total > most_bytes:
            break
        top = last
    return top


def _reserve_numbers(connection: Connection, segments: Sequence[Segment]) -> int:
    """Behind what was written, where less than half of them are left: most rows stay as they are. How many do not."""
    tops = [(segment.session_id, segment.last + 1 + RESERVED_NUMBERS) for segment in segments]
    spare = RESERVED_NUMBERS // 2
    reserve = _RESERVE_ON_SQLITE if connection.dialect.name == "sqlite" else _RESERVE_ON_POSTGRESQL
    return reserve.run(connection, {"tops": listed(tops), "spare": spare})


_FREE_SESSIONS: Final = Prepared(
    select(sessions.c.id)
    .where(among(sessions.c.id, "those"))
    .with_for_update(read=True, key_share=True, skip_locked=True)
)
_RESERVE_ON_POSTGRESQL: Final = Prepared(
    text("""
        UPDATE sessions SET next_event = wanted.top
        FROM (SELECT here.id, tops.top
              FROM sessions AS here
              JOIN (SELECT value->>0 AS id, CAST(value->>1 AS bigint) AS top
                    FROM json_array_elements(CAST(:tops AS json))) AS tops ON tops.id = here.id
              WHERE here.next_event < tops.top - :spare
              FOR NO KEY UPDATE OF here SKIP LOCKED) AS wanted
        WHERE sessions.id = wanted.id
    """)
)
"""A session that another transaction changes has its numbers reserved next time: half of them are left."""

_RESERVE_ON_SQLITE: Final = Prepared(
    text("""
        UPDATE sessions SET next_event = wanted.top
        FROM (SELECT json_extract(value, '$[0]') AS here, json_extract(value, '$[1]') AS top FROM json_each(:tops))
             AS wanted
        WHERE sessions.id = wanted.here AND sessions.next_event < wanted.top - :spare
    """)
)
_here: Final = event_segments.c.session_id == bindparam("session_id")
_BOUNDS: Final = Prepared(
    select(
        select(func.min(event_segments.c.first)).where(_here).scalar_subquery().label("first"),
        select(func.max(event_segments.c.last)).where(_here).scalar_subquery().label("last"),
    )
)
"""Apart, and so each at one end of an index: asked for together, they cost a look at all the session's segments."""

_NEWEST: Final = Prepared(
    select(
        sessions.c.id,
        select(func.max(event_segments.c.last))
        .where(event_segments.c.session_id == sessions.c.id)
        .scalar_subquery()
        .label("newest"),
    ).where(among(sessions.c.id, "those"))
)
