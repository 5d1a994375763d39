"""Secrets as the database has them, for the rotation of the key that they are encrypted with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, select, update

from app.store.engine import Database


class SealedStore:
    """A store of objects, some of which have secrets."""

    def __init__(self, database: Database, *, key: Column[Any], sealed: Column[Any]) -> None:
        """`key` and `sealed` are the columns of the objects' ids and of their encrypted secrets."""
        self._database = database
        self._key = key
        self._sealed = sealed

    def sealed(self, *, behind: str, limit: int) -> Sequence[tuple[str, str]]:
        """Ids and sealed secrets, in the order of the ids."""
        query = select(self._key, self._sealed).where(self._key > behind, self._sealed.is_not(None))
        with self._database.reading() as connection:
            found = connection.execute(query.order_by(self._key).limit(limit))
            return [(object_id, sealed) for object_id, sealed in found]

    def reseal(self, object_id: str, before: str, after: str) -> bool:
        """Replaces sealed secrets by the same ones under another key. False if they have changed meanwhile."""
        same = update(self._key.table).where(self._key == object_id, self._sealed == before)
        with self._database.writing() as connection:
            return connection.execute(same.values({self._sealed: after})).rowcount == 1
