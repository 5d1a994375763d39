"""Pages of the events that clients of the Managed Agents API are told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Select, select, tuple_

from app.store.engine import Database
from app.store.key_pages import ANY_TIME, Times
from app.store.managed_tables import told_events
from app.store.told_events import Told, told


@dataclass(frozen=True, slots=True)
class Wanted:
    """The events of a page. `after`: the number and the id of the last one before it; no number for one without a
    place. `times` are bounds of when a run came to them, or else of when they were sent."""

    limit: int
    types: Sequence[str] = ()
    descending: bool = False
    after: tuple[int | None, str] | None = None
    times: Times = ANY_TIME


class ToldEventPages:
    def __init__(self, database: Database) -> None:
        self._database = database

    def page(self, session_id: str, wanted: Wanted) -> list[Told]:
        """In the order of their places, those without one last; with one more than the limit."""
        rows: list[Any] = []
        with self._database.reading() as connection:
            for part in _parts(session_id, wanted):
                rows += connection.execute(part.limit(wanted.limit + 1 - len(rows))).all()
        return [told(row) for row in rows]


def _parts(session_id: str, wanted: Wanted) -> list[Select[Any]]:
    """The queries of a page, one after the other: events with a place, and those that wait for a run."""
    queries = [_placed(session_id, wanted), _unplaced(session_id, wanted)]
    return [one for one in (reversed(queries) if wanted.descending else queries) if one is not None]


def _matching(session_id: str, wanted: Wanted, moment: Column[Any]) -> Select[Any]:
    query = select(told_events).where(told_events.c.session_id == session_id)
    if wanted.types:
        query = query.where(told_events.c.type.in_(wanted.types))
    return wanted.times.narrow(query, moment)


def _placed(session_id: str, wanted: Wanted) -> Select[Any] | None:
    number = told_events.c.number
    query = _matching(session_id, wanted, told_events.c.processed_at).where(number.is_not(None))
    if wanted.after is not None:
        last = wanted.after[0]
        if last is None:
            return query.order_by(number.desc()) if wanted.descending else None
        query = query.where(number < last if wanted.descending else number > last)
    return query.order_by(number.desc() if wanted.descending else number)


def _unplaced(session_id: str, wanted: Wanted) -> Select[Any] | None:
    """The events that wait for a run: few, and in the order of their arrival."""
    query = _matching(session_id, wanted, told_events.c.created_at).where(told_events.c.number.is_(None))
    order = [told_events.c.created_at, told_events.c.id]
    if wanted.after is not None:
        number, last = wanted.after
        if number is not None:
            return None if wanted.descending else query.order_by(*order)
        arrived = select(told_events.c.created_at).where(told_events.c.id == last).scalar_subquery()
        place, before = tuple_(*order), tuple_(arrived, last)
        query = query.where(place < before if wanted.descending else place > before)
    return query.order_by(*(one.desc() for one in order) if wanted.descending else order)
