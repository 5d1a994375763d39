"""Versions of memories: all that a memory store has held lately, and who has written it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Select, select, update

from app.errors import InvalidRequest, NotFound
from app.store.clock import ago, now
from app.store.engine import Database
from app.store.key_pages import ANY_TIME, Times
from app.store.managed_tables import memory_versions
from app.store.memory_rows import Actor, Operation
from app.store.memory_store import found_store, locked_store
from app.store.pruning import drop

KEEP_SECONDS: Final = 30 * 86_400.0
"""Time that a version is kept after another one has followed it."""


@dataclass(frozen=True, slots=True)
class MemoryVersion:
    """`number` is its place among the store's versions. `content` is None if it was not asked for. Times are seconds
    since the epoch, by the database's clock."""

    id: str
    store_id: str
    number: int
    memory_id: str
    operation: Operation
    path: str | None
    content: str | None
    sha256: str | None
    size: int | None
    created_at: float
    by: Actor
    redacted_at: float | None
    redacted_by: Actor


@dataclass(frozen=True, slots=True)
class VersionFilter:
    """Which versions are listed, newest first. `before`: the number of the last one of the page before."""

    limit: int
    before: int | None = None
    memory_id: str | None = None
    operation: str | None = None
    by_session: str | None = None
    by_key: str | None = None
    made: Times = ANY_TIME
    content: bool = False


class MemoryHistory:
    """`owner` narrows a call to the stores of one token's holder. None: everything."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, store_id: str, version_id: str, *, owner: str | None) -> MemoryVersion:
        with self._database.reading() as connection:
            found_store(connection, store_id, owner)
            return _version_of(_row(connection, store_id, version_id))

    def page(self, store_id: str, wanted: VersionFilter, *, owner: str | None) -> Sequence[MemoryVersion]:
        """With one more than the limit."""
        query = _select(store_id, content=wanted.content)
        if wanted.before is not None:
            query = query.where(memory_versions.c.number < wanted.before)
        for column, value in (
            (memory_versions.c.memory_id, wanted.memory_id),
            (memory_versions.c.operation, wanted.operation),
            (memory_versions.c.by_session, wanted.by_session),
            (memory_versions.c.by_key, wanted.by_key),
        ):
            if value is not None:
                query = query.where(column == value)
        query = wanted.made.narrow(query, memory_versions.c.created_at)
        query = query.order_by(memory_versions.c.number.desc()).limit(wanted.limit + 1)
        with self._database.reading() as connection:
            found_store(connection, store_id, owner)
            return [_version_of(row) for row in connection.execute(query)]

    def redact(self, store_id: str, version_id: str, *, by: Actor, owner: str | None) -> MemoryVersion:
        """Takes its path and content away for good. InvalidRequest for one that is a memory's content; one that is
        redacted already stays as it is."""
        with self._database.writing() as connection:
            locked_store(connection, store_id, owner)
            before = _row(connection, store_id, version_id)
            if before.replaced_at is None:
                raise InvalidRequest("A version that holds the content of a memory can't be redacted.")
            if before.redacted_at is None:
                emptied = {"path": None, "content": None, "sha256": None, "size": None}
                connection.execute(
                    update(memory_versions)
                    .where(memory_versions.c.id == version_id)
                    .values(**emptied, redacted_at=now(), redacted_by=by.key)
                )
            return _version_of(_row(connection, store_id, version_id))

    def prune(self) -> int:
        return drop(self._database, memory_versions, memory_versions.c.replaced_at < ago(KEEP_SECONDS))


def _select(store_id: str, *, content: bool) -> Select[Any]:
    columns = [column for column in memory_versions.c if content or column.key != "content"]
    return select(*columns).where(memory_versions.c.store_id == store_id)


def _row(connection: Connection, store_id: str, version_id: str) -> Any:
    query = _select(store_id, content=True).where(memory_versions.c.id == version_id)
    if (row := connection.execute(query).first()) is None:
        raise NotFound("Memory version not found.")
    return row


_PLAIN: Final = tuple(
    name for name in MemoryVersion.__dataclass_fields__ if name not in ("by", "redacted_by")
)


def _version_of(row: Any) -> MemoryVersion:
    values = row._mapping
    return MemoryVersion(
        **{name: values.get(name) for name in _PLAIN},
        by=Actor(row.by_key, row.by_session),
        redacted_by=Actor(row.redacted_by),
    )
