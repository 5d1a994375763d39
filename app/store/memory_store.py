"""Memory stores that clients have made."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, delete, select, true, update

from app.errors import InvalidRequest, NotFound
from app.store.clock import now
from app.store.definitions import Change, Defined, Json, add, defined, lock
from app.store.engine import Database
from app.store.key_pages import Window, within
from app.store.managed_tables import memory_stores
from app.store.outbox import announce
from app.store.quotas import NO_LIMITS, Limits
from app.store.row_mapping import dump


class MemoryStores:
    """`owner` narrows a call to the stores of one token's holder. None: everything."""

    def __init__(self, database: Database, limits: Limits = NO_LIMITS) -> None:
        self._database = database
        self._most = limits.objects_per_owner

    def add(self, store_id: str, definition: Json, *, owner: str) -> Defined:
        with self._database.writing() as connection:
            values = {"definition_json": dump(definition)}
            add(connection, memory_stores, store_id, owner, shared=False, most=self._most, **values)
            return found_store(connection, store_id, None)

    def get(self, store_id: str, *, owner: str | None) -> Defined:
        with self._database.reading() as connection:
            return found_store(connection, store_id, owner)

    def page(self, window: Window, *, owner: str | None) -> Sequence[Defined]:
        query = within(select(memory_stores).where(_own(owner)), memory_stores, window)
        with self._database.reading() as connection:
            return [defined(row) for row in connection.execute(query)]

    def change(self, store_id: str, change: Change, *, owner: str | None) -> Defined:
        """Unchanged, it keeps its time. InvalidRequest for an archived one."""
        with self._database.writing() as connection:
            before = locked_store(connection, store_id, owner, writes=True)
            if (after := change(before)) == before.definition:
                return before
            values = {"definition_json": dump(after), "updated_at": now()}
            connection.execute(update(memory_stores).where(memory_stores.c.id == store_id).values(values))
            return found_store(connection, store_id, owner)

    def archive(self, store_id: str, *, owner: str | None) -> Defined:
        """One that is archived already stays as it is."""
        with self._database.writing() as connection:
            if locked_store(connection, store_id, owner).archived_at is None:
                values = {"archived_at": now(), "updated_at": now()}
                connection.execute(update(memory_stores).where(memory_stores.c.id == store_id).values(values))
                announce(connection, "memory_store.archived", store_id)
            return found_store(connection, store_id, owner)

    def delete(self, store_id: str, *, owner: str | None) -> None:
        """With its memories and all their versions."""
        with self._database.writing() as connection:
            locked_store(connection, store_id, owner)
            connection.execute(delete(memory_stores).where(memory_stores.c.id == store_id))
            announce(connection, "memory_store.deleted", store_id)


def _own(owner: str | None) -> ColumnElement[bool]:
    """Nobody shares a memory store."""
    return true() if owner is None else memory_stores.c.owner == owner


def found_store(connection: Connection, store_id: str, owner: str | None) -> Defined:
    query = select(memory_stores).where(memory_stores.c.id == store_id, _own(owner))
    if (row := connection.execute(query).first()) is None:
        raise NotFound("Memory store not found.")
    return defined(row)


def locked_store(
    connection: Connection, store_id: str, owner: str | None, *, writes: bool = False
) -> Defined:
    """From here to the end of this transaction nobody else changes the store or its memories. `writes` says that
    content comes in, which an archived store refuses: InvalidRequest."""
    lock(connection, memory_stores, store_id)
    found = found_store(connection, store_id, owner)
    if writes and found.archived_at is not None:
        raise InvalidRequest(f"Memory store {store_id} is archived.")
    return found
