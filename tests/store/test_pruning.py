"""Nothing grows without end: a row goes with its session, or when it is old."""

from __future__ import annotations

from dataclasses import fields

from app.store.store import Pruned
from app.store.tables import metadata


def goes_with_its_session(table: str) -> bool:
    return any(
        key.column.table.name == "sessions" and key.ondelete == "CASCADE"
        for key in metadata.tables[table].foreign_keys
    )


def test_every_table_goes_with_its_session_or_is_pruned() -> None:
    pruned = {field.name for field in fields(Pruned)}
    assert pruned <= set(metadata.tables)
    others = set(metadata.tables) - pruned
    assert [table for table in others if not goes_with_its_session(table)] == []
