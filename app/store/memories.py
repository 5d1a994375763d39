"""Memories of the Managed Agents API: texts at paths in a memory store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from app.errors import Conflict, NotFound
from app.store.engine import Database
from app.store.managed_tables import memories
from app.store.memory_room import MemoryRoom
from app.store.memory_rows import (
    Actor,
    Memory,
    below,
    contents,
    create,
    digest,
    memory_of,
    modify,
    remove,
    select_memories,
)
from app.store.memory_store import found_store, locked_store
from app.store.quotas import NO_LIMITS, Limits


@dataclass(frozen=True, slots=True)
class Listing:
    """The part of a store's memories that is asked for. `shallow`: what lies deeper than directly below the prefix is
    rolled up into one entry for each directory. `after`: the path of the last entry of the page before."""

    limit: int
    prefix: str = "/"
    shallow: bool = False
    after: str = ""
    content: bool = False


Entry = Memory | str
"""A memory; or a directory, which ends with a slash."""


class Memories:
    """`owner` narrows a call to the stores of one token's holder. None: everything. All changes of one store come one
    after the other."""

    def __init__(self, database: Database, limits: Limits = NO_LIMITS) -> None:
        self._database = database
        self._limit = limits.memory_bytes

    def create(self, store_id: str, path: str, content: str, *, by: Actor, owner: str | None) -> Memory:
        with self._database.writing() as connection:
            store = locked_store(connection, store_id, owner, writes=True)
            MemoryRoom(connection, store.owner, self._limit).take(content)
            return _memory(connection, store_id, create(connection, store_id, path, content, by))

    def get(self, store_id: str, memory_id: str, *, owner: str | None) -> Memory:
        with self._database.reading() as connection:
            found_store(connection, store_id, owner)
            return _memory(connection, store_id, memory_id)

    def change(
        self,
        store_id: str,
        memory_id: str,
        *,
        path: str | None,
        content: str | None,
        expected: str | None,
        by: Actor,
        owner: str | None,
    ) -> Memory:
        """A path or content of None stays. Nothing is written where nothing changes. Conflict if `expected` is given
        and is not the digest of the content."""
        with self._database.writing() as connection:
            store = locked_store(connection, store_id, owner, writes=True)
            before = _memory(connection, store_id, memory_id)
            _expect(before, expected)
            new_path = before.path if path is None else path
            new_content = (before.content or "") if content is None else content
            if (new_path, digest(new_content)) == (before.path, before.sha256):
                return before
            MemoryRoom(connection, store.owner, self._limit).take(new_content)
            modify(connection, before, new_path, new_content, by)
            return _memory(connection, store_id, memory_id)

    def delete(
        self, store_id: str, memory_id: str, *, expected: str | None, by: Actor, owner: str | None
    ) -> None:
        with self._database.writing() as connection:
            locked_store(connection, store_id, owner)
            before = _memory(connection, store_id, memory_id)
            _expect(before, expected)
            remove(connection, before, by)

    def page(self, store_id: str, listing: Listing, *, owner: str | None) -> Sequence[Entry]:
        """By path, with one more than the limit."""
        with self._database.reading() as connection:
            found_store(connection, store_id, owner)
            query = select_memories(store_id, content=False).where(below(listing.prefix))
            if after := listing.after:
                behind = f"{after[:-1]}0" if after.endswith("/") else after
                query = query.where(memories.c.path >= behind, memories.c.path != after)
            query = query.order_by(memories.c.path)
            if not listing.shallow:
                query = query.limit(listing.limit + 1)
            found = list(_rolled_up(map(memory_of, connection.execute(query)), listing))
            if not listing.content:
                return found
            texts = contents(connection, [one.version_id for one in found if isinstance(one, Memory)])
            return [
                replace(one, content=texts[one.version_id]) if isinstance(one, Memory) else one
                for one in found
            ]


def _rolled_up(found: Iterator[Memory], listing: Listing) -> Iterator[Entry]:
    count, directory = 0, ""
    for memory in found:
        name, slash, _ = memory.path.removeprefix(listing.prefix).partition("/")
        if not listing.shallow or not slash:
            yield memory
        elif directory != (directory := f"{listing.prefix}{name}/"):
            yield directory
        else:
            continue
        count += 1
        if count > listing.limit:
            return


def _memory(connection: Connection, store_id: str, memory_id: str) -> Memory:
    query = select_memories(store_id, content=True).where(memories.c.id == memory_id)
    if (row := connection.execute(query).first()) is None:
        raise NotFound("Memory not found.")
    return memory_of(row)


def _expect(found: Memory, expected: str | None) -> None:
    if expected is not None and expected != found.sha256:
        raise Conflict(
            "The memory has another content by now. Fetch it and try again.",
            in_error={"type": "memory_precondition_failed_error"},
        )
