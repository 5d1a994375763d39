"""Memories and their versions as rows. All functions that write want the lock on the store (`locked_store`)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import Connection, Select, delete, func, insert, or_, select, update

from app.errors import Conflict, InvalidRequest
from app.managed_ids import new_id
from app.store.clock import now
from app.store.managed_tables import memories, memory_versions

Operation = Literal["created", "modified", "deleted"]

MOST: Final = 2000
"""Memories of one store."""


@dataclass(frozen=True, slots=True)
class Actor:
    """The author of a change: the key with this id, or the session with it."""

    key: str = ""
    session: str = ""


@dataclass(frozen=True, slots=True)
class Memory:
    """`content` is None if it was not asked for. Times are seconds since the epoch, by the database's clock."""

    id: str
    store_id: str
    path: str
    version_id: str
    sha256: str
    size: int
    created_at: float
    updated_at: float
    content: str | None


def digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def select_memories(store_id: str, *, content: bool) -> Select[Any]:
    joined = memories.join(memory_versions, memory_versions.c.id == memories.c.version_id)
    columns = [*memories.c, memory_versions.c.sha256, memory_versions.c.size]
    query = select(*columns, *([memory_versions.c.content] if content else ()))
    return query.select_from(joined).where(memories.c.store_id == store_id)


def memory_of(row: Any) -> Memory:
    values = row._mapping
    return Memory(**{name: values.get(name) for name in Memory.__dataclass_fields__})


def at_path(connection: Connection, store_id: str, path: str) -> Memory | None:
    query = select_memories(store_id, content=False).where(memories.c.path == path)
    row = connection.execute(query).first()
    return None if row is None else memory_of(row)


def below(prefix: str) -> Any:
    """The condition that a memory's path begins with this text, which ends with a slash."""
    return (memories.c.path >= prefix) & (memories.c.path < f"{prefix[:-1]}0")  # 0 comes behind the slash


def create(
    connection: Connection, store_id: str, path: str, content: str, actor: Actor, *, memory_id: str = ""
) -> str:
    """The new memory's id; the given one, if there was a memory with it. Conflict; InvalidRequest if there are too
    many."""
    refuse_taken(connection, store_id, path)
    count = select(func.count()).select_from(memories).where(memories.c.store_id == store_id)
    if connection.execute(count).scalar_one() >= MOST:
        raise InvalidRequest(f"A memory store holds at most {MOST} memories.")
    memory_id = memory_id or new_id("mem")
    version = add_version(connection, store_id, memory_id, "created", path, content, actor)
    values = {"id": memory_id, "store_id": store_id, "path": path, "version_id": version}
    connection.execute(insert(memories).values(**values, created_at=now(), updated_at=now()))
    return memory_id


def modify(connection: Connection, before: Memory, path: str, content: str, actor: Actor) -> None:
    """Conflict if another memory is in the way of a new path."""
    if path != before.path:
        refuse_taken(connection, before.store_id, path, but=before.id)
    _replace(connection, before)
    version = add_version(connection, before.store_id, before.id, "modified", path, content, actor)
    connection.execute(
        update(memories)
        .where(memories.c.id == before.id)
        .values(path=path, version_id=version, updated_at=now())
    )


def remove(connection: Connection, before: Memory, actor: Actor) -> None:
    """Its versions stay, and one more tells of the end."""
    _replace(connection, before)
    add_version(connection, before.store_id, before.id, "deleted", before.path, None, actor)
    connection.execute(delete(memories).where(memories.c.id == before.id))


def refuse_taken(connection: Connection, store_id: str, path: str, *, but: str = "") -> None:
    """Conflict for a path that another memory has, or below which or above which one lies: they are files, too."""
    names = path.split("/")
    above = ["/".join(names[:end]) for end in range(2, len(names) + 1)]
    taken = or_(memories.c.path.in_(above), below(f"{path}/"))
    query = select(memories.c.id, memories.c.path).where(
        memories.c.store_id == store_id, memories.c.id != but, taken
    )
    if (row := connection.execute(query.order_by(memories.c.path).limit(1)).first()) is not None:
        words = "is taken by another memory" if row.path == path else f"does not go together with {row.path}"
        raise Conflict(
            f"The path {path} {words}.",
            in_error={
                "type": "memory_path_conflict_error",
                "conflicting_memory_id": row.id,
                "conflicting_path": row.path,
            },
        )


def add_version(
    connection: Connection,
    store_id: str,
    memory_id: str,
    operation: Operation,
    path: str,
    content: str | None,
    actor: Actor,
) -> str:
    """The id of the store's newest version, which this is."""
    newest = select(func.max(memory_versions.c.number)).where(memory_versions.c.store_id == store_id)
    version_id = new_id("memver")
    connection.execute(
        insert(memory_versions).values(
            id=version_id,
            store_id=store_id,
            number=(connection.execute(newest).scalar_one() or 0) + 1,
            memory_id=memory_id,
            operation=operation,
            path=path,
            content=content,
            sha256=None if content is None else digest(content),
            size=None if content is None else len(content.encode()),
            created_at=now(),
            by_key=actor.key,
            by_session=actor.session,
            redacted_by="",
            replaced_at=now() if operation == "deleted" else None,
        )
    )
    return version_id


def _replace(connection: Connection, before: Memory) -> None:
    connection.execute(
        update(memory_versions).where(memory_versions.c.id == before.version_id).values(replaced_at=now())
    )


def contents(connection: Connection, version_ids: Sequence[str]) -> dict[str, str]:
    """The contents of versions, by id."""
    columns = (memory_versions.c.id, memory_versions.c.content)
    query = select(*columns).where(memory_versions.c.id.in_(version_ids))
    return {row.id: row.content for row in connection.execute(query)}
