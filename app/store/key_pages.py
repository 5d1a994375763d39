"""Pages of a table by key, newest first. Each begins behind a row, so its cost does not grow with its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, Table, tuple_

Place = tuple[float, str]
"""A row's place in its list: when it was made, and its id."""


@dataclass(frozen=True, slots=True)
class Window:
    """The part of a list that is asked for. Times are seconds since the epoch."""

    limit: int
    after: Place | None = None
    since: float | None = None
    until: float | None = None
    archived: bool = False


def within(query: Select[Any], table: Table, window: Window) -> Select[Any]:
    """Narrows a query to the window and one row more, which tells that there is another page. The table has the
    columns `id`, `created_at` and `archived_at`."""
    made = table.c.created_at
    if window.after is not None:
        query = query.where(tuple_(made, table.c.id) < tuple_(*window.after))
    if window.since is not None:
        query = query.where(made >= window.since)
    if window.until is not None:
        query = query.where(made <= window.until)
    if not window.archived:
        query = query.where(table.c.archived_at.is_(None))
    return query.order_by(made.desc(), table.c.id.desc()).limit(window.limit + 1)
