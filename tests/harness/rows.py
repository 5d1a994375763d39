"""All rows of a database, to be compared before and after."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from app.store.engine import Database
from app.store.tables import metadata

Rows = dict[str, list[tuple[Any, ...]]]


def all_rows(database: Database) -> Rows:
    """Every row of every table, in an order that depends on nothing but their contents. But those of the index of
    words, which follows them by itself, a moment later."""
    with database.reading() as connection:
        return {
            table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
            for table in metadata.sorted_tables
            if not table.name.startswith("search_")
        }
