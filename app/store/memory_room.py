"""The bytes that a name's memory stores may hold, with all versions."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from app.errors import InvalidRequest
from app.store.advisory_locks import take_turns
from app.store.managed_tables import memory_stores, memory_versions


class MemoryRoom:
    """The room of a store's owner, within one transaction that has the store's lock. Stores that belong to nobody have
    no limit."""

    def __init__(self, connection: Connection, owner: str, limit: int) -> None:
        """0 is no limit."""
        self._connection = connection
        self._owner = owner
        self._limit = limit if owner else 0
        self._used: int | None = None

    def take(self, content: str) -> None:
        """InvalidRequest if there is not so much left."""
        if not self._limit:
            return
        if self._used is None:
            take_turns(self._connection, f"memory of {self._owner}")
            self._used = self._held()
        wanted = self._used + len(content.encode())
        if wanted > self._limit:
            raise InvalidRequest(
                f"The memory stores of {self._owner} may hold {self._limit:,} bytes with all versions. Redact "
                "versions, or delete a store.",
                error_code="storage_quota_exceeded",
            )
        self._used = wanted

    def _held(self) -> int:
        own = select(memory_stores.c.id).where(memory_stores.c.owner == self._owner)
        query = select(func.sum(memory_versions.c.size)).where(memory_versions.c.store_id.in_(own))
        return int(self._connection.execute(query).scalar_one() or 0)
