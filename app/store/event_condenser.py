"""Condenses the events of runs that have ended: most of what a run leaves behind is its answer, delta by delta."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, delete, func, insert, literal, select
from sqlalchemy.exc import IntegrityError

from app import sse_format
from app.conversation.condensed_facts import condense
from app.store.clock import ago
from app.store.engine import Database
from app.store.event_segments import segment_of
from app.store.packed_facts import CONDENSED, pack
from app.store.tables import event_segments, runs

ENDED_FOR: Final = 300.0
"""Seconds. Most readers who come back do so before, and get each event as it was sent."""

ENDED_WITHIN: Final = 480.0
"""Seconds: the job comes about three times meanwhile. What it misses for longer is left to pruning."""

FEWEST_EVENTS: Final = 64
"""A run with fewer events leaves too little behind to be worth two writes."""

AT_ONCE: Final = 32
"""Segments of one transaction: 32 of those that a fast answer fills hold 0.2 MB."""


class EventCondenser:
    """One process at a time does it for all; a second one at the same time harms nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def condense(self, *, ended_for: float = ENDED_FOR, ended_within: float = ENDED_WITHIN) -> int:
        """Puts fewer and smaller segments in the place of those of runs that ended so many seconds ago. Returns how
        many it has replaced. Short transactions. StoreUnavailable."""
        count = 0
        for run in self._ended(ended_for, ended_within):
            for segments in _in_a_row(self._as_sent(run)):
                count += self._replace(segments)
        return count

    def _ended(self, ended_for: float, ended_within: float) -> Sequence[Any]:
        long_enough = runs.c.last_event - runs.c.first_event >= FEWEST_EVENTS
        query = select(runs.c.id, runs.c.session_id, runs.c.first_event, runs.c.last_event).where(
            runs.c.ended_at > ago(ended_within), runs.c.ended_at <= ago(ended_for), long_enough
        )
        with self._database.reading() as connection:
            return connection.execute(query).all()

    def _as_sent(self, run: Any) -> Iterator[Any]:
        """The rows that are not condensed yet, in order."""
        mine = (event_segments.c.session_id == run.session_id) & (event_segments.c.run_id == run.id)
        first = run.first_event
        while True:
            within = event_segments.c.first.between(first, run.last_event)
            query = select(event_segments).where(mine, within, ~_is_condensed())
            with self._database.reading() as connection:
                rows = connection.execute(query.order_by(event_segments.c.first).limit(AT_ONCE)).all()
            yield from rows
            if len(rows) < AT_ONCE:
                return
            first = rows[-1].first + 1

    def _replace(self, rows: Sequence[Any]) -> int:
        """In one transaction, unless somebody else has changed them meanwhile. Returns how many."""
        first, last = rows[0], rows[-1]
        facts = [fact for row in rows for fact in sse_format.split(segment_of(row).facts)]
        condensed = {
            "session_id": first.session_id,
            "run_id": first.run_id,
            "first": first.first,
            "last": last.last,
            "frames": pack(first.session_id, first.run_id, b"".join(condense(facts)), CONDENSED),
            "created_at": max(row.created_at for row in rows),
        }
        these = (event_segments.c.session_id == first.session_id) & event_segments.c.first.in_(
            [row.first for row in rows]
        )
        unchanged = these & (event_segments.c.run_id == first.run_id) & ~_is_condensed()
        try:
            with self._database.writing() as connection:
                if connection.execute(delete(event_segments).where(unchanged)).rowcount != len(rows):
                    raise _Changed
                connection.execute(insert(event_segments).values(condensed))
        except (_Changed, IntegrityError):
            return 0
        return len(rows)


class _Changed(Exception):
    """Another process was faster, or the session is gone."""


def _is_condensed() -> ColumnElement[bool]:
    return func.substr(event_segments.c.frames, 1, 1) == literal(CONDENSED)


def _in_a_row(rows: Iterator[Any]) -> Iterator[list[Any]]:
    """Groups of at most `AT_ONCE`, without a missing number within a group."""
    group: list[Any] = []
    for row in rows:
        if group and (len(group) == AT_ONCE or row.first != group[-1].last + 1):
            yield group
            group = []
        group.append(row)
    if group:
        yield group
