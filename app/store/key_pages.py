"""Pages of a table by key, newest first. Each begins behind a row, so its cost does not grow with its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, Table, tuple_

Place = tuple[float, str]
"""A row's place in its list: when it was made, and its id."""

_HALF: Final = 0.5e-6


@dataclass(frozen=True, slots=True)
class Times:
    """Bounds of a time, in seconds since the epoch. A stored time is compared as clients are shown it: rounded to a
    microsecond."""

    later_than: float | None = None
    since: float | None = None
    earlier_than: float | None = None
    until: float | None = None

    def narrow(self, query: Select[Any], moment: ColumnElement[float]) -> Select[Any]:
        if self.later_than is not None:
            query = query.where(moment > self.later_than + _HALF)
        if self.since is not None:
            query = query.where(moment >= self.since - _HALF)
        if self.earlier_than is not None:
            query = query.where(moment < self.earlier_than - _HALF)
        if self.until is not None:
            query = query.where(moment <= self.until + _HALF)
        return query


ANY_TIME: Final = Times()


@dataclass(frozen=True, slots=True)
class Window:
    """The part of a list that is asked for."""

    limit: int
    after: Place | None = None
    made: Times = ANY_TIME
    archived: bool = False


def within(query: Select[Any], table: Table, window: Window) -> Select[Any]:
    """Narrows a query to the window and one row more, which tells that there is another page. The table has the
    columns `id`, `created_at` and `archived_at`."""
    made = table.c.created_at
    if window.after is not None:
        query = query.where(tuple_(made, table.c.id) < tuple_(*window.after))
    query = window.made.narrow(query, made)
    if not window.archived:
        query = query.where(table.c.archived_at.is_(None))
    return query.order_by(made.desc(), table.c.id.desc()).limit(window.limit + 1)
