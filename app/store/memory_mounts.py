"""Memory stores in sessions: which sessions have which, and how files and memories become the same again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from sqlalchemy import ColumnElement, Connection, exists, insert, select, update

from app.errors import AppError
from app.store.engine import Database
from app.store.managed_tables import mounted_stores
from app.store.memory_room import MemoryRoom
from app.store.memory_rows import (
    Actor,
    Memory,
    at_path,
    contents,
    create,
    digest,
    memory_of,
    modify,
    remove,
    select_memories,
)
from app.store.memory_store import locked_store
from app.store.quotas import NO_LIMITS, Limits
from app.store.row_mapping import dump

Json = dict[str, Any]
Files = Mapping[str, tuple[str, str]]
"""By path, the id of a memory's version and the digest of its content."""

_MOST_COPIES: Final = 99
_LONGEST: Final = 1000  # bytes
_LONGEST_NAME: Final = 240


@dataclass(frozen=True, slots=True)
class Baseline:
    """The state in which both sides were the same last. `mark` names the directory for which that holds; an empty one
    holds for none."""

    mark: str = ""
    files: Files = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LocalFile:
    """`content` is None where it is not known to have changed. `fault` says why it can't be a memory."""

    sha256: str
    content: str | None = None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Synced:
    """The changes that the files need now: `write` has a version's id, digest and content by path. `words` are for the
    model, each with the path that it is about. `agreed`: the files that are the same on both sides already, without a
    mark if the directory was none that is known."""

    agreed: Baseline
    write: Mapping[str, tuple[str, str, str]]
    remove: Sequence[str]
    words: Sequence[tuple[str, str]]


class MemoryMounts:
    def __init__(self, database: Database, limits: Limits = NO_LIMITS) -> None:
        self._database = database
        self._limit = limits.memory_bytes

    def baseline(self, session_id: str, store_id: str) -> Baseline:
        with self._database.glance() as connection:
            return _baseline(connection, session_id, store_id)

    def keep(self, session_id: str, store_id: str, agreed: Baseline) -> None:
        with self._database.writing() as connection:
            _keep(connection, session_id, store_id, agreed)

    def sync(
        self,
        session_id: str,
        store_id: str,
        mark: str,
        local: Mapping[str, LocalFile],
        *,
        writes: bool,
        deletes: bool,
    ) -> Synced:
        """One transaction. `mark` is that of the directory; one that is not the baseline's is made anew from the store.
        `writes`: changed files become versions; else the store's contents come back. `deletes`: a file that is not
        there any more was taken away on purpose. NotFound for a store that is gone; InvalidRequest for an archived one,
        if it `writes`.

        A file and a memory that have both changed are both kept: the memory where it is, the file beside it."""
        with self._database.writing() as connection:
            store = locked_store(connection, store_id, None, writes=writes)
            before = _baseline(connection, session_id, store_id)
            if not mark or mark != before.mark:
                before, writes = Baseline(), False
            room = MemoryRoom(connection, store.owner, self._limit)
            merge = _Merge(connection, store_id, Actor(session=session_id), room, before.files, local)
            synced = merge.run(writes=writes, deletes=deletes, mark=before.mark)
            _keep(connection, session_id, store_id, synced.agreed)
            return synced


class _Merge:
    """Merges one store's memories with files, within one transaction that has the store's lock."""

    def __init__(
        self,
        connection: Connection,
        store_id: str,
        actor: Actor,
        room: MemoryRoom,
        base: Files,
        local: Mapping[str, LocalFile],
    ) -> None:
        self._connection = connection
        self._store_id = store_id
        self._actor = actor
        self._room = room
        self._base = base
        self._local = local
        rows = connection.execute(select_memories(store_id, content=False))
        self._heads = {one.path: one for one in map(memory_of, rows)}
        self._agreed: dict[str, tuple[str, str]] = {}
        self._fetch: dict[str, Memory] = {}
        self._remove: list[str] = []
        self._words: list[tuple[str, str]] = []

    def run(self, *, writes: bool, deletes: bool, mark: str) -> Synced:
        paths = sorted({*self._heads, *self._local, *self._base})
        missing = [path for path in paths if path not in self._local]
        for path in missing:  # first: a directory may be where a file was
            self._missing(path, gone=writes and deletes)
        for path in paths:
            if path in self._local:
                self._present(path, self._local[path], writes=writes)
        texts = contents(self._connection, [one.version_id for one in self._fetch.values()])
        write = {
            path: (one.version_id, one.sha256, texts[one.version_id]) for path, one in self._fetch.items()
        }
        return Synced(Baseline(mark, {**self._pending(), **self._agreed}), write, self._remove, self._words)

    def _pending(self) -> dict[str, tuple[str, str]]:
        """Files that are still what they were before the memory changed. One that has to come back has no baseline: if
        it does not come back, nobody has taken it away."""
        files = [path for path in (*self._fetch, *self._remove) if path in self._local and path in self._base]
        return {path: self._base[path] for path in files}

    def _missing(self, path: str, *, gone: bool) -> None:
        head, base = self._heads.get(path), self._base.get(path)
        if head is None:
            return
        if gone and base is not None and base[0] == head.version_id:
            remove(self._connection, head, self._actor)
        else:
            self._fetch[path] = head

    def _present(self, path: str, file: LocalFile, *, writes: bool) -> None:
        head, base = self._heads.get(path), self._base.get(path)
        if head is not None and head.sha256 == file.sha256:
            self._agree(path, head)
        elif not writes or (base is not None and base[1] == file.sha256):
            if head is None:
                self._remove.append(path)
            else:
                self._fetch[path] = head
        elif file.fault:
            self._words.append((path, f"is not kept in the memory store: {file.fault}"))
            if base is not None:
                self._agreed[path] = base
        elif file.content is None:
            if base is not None:
                self._agreed[path] = base
        else:
            self._take(path, file.content, head, base)

    def _take(self, path: str, content: str, head: Memory | None, base: tuple[str, str] | None) -> None:
        if head is None:
            self._attempt(
                path, content, lambda: create(self._connection, self._store_id, path, content, self._actor)
            )
        elif base is not None and base[0] == head.version_id:
            self._attempt(path, content, lambda: modify(self._connection, head, path, content, self._actor))
        else:
            self._fetch[path] = head
            self._beside(path, content)

    def _attempt(self, path: str, content: str, change: Callable[[], object]) -> None:
        try:
            self._room.take(content)
            change()
        except AppError as refusal:  # nothing of it was written
            self._words.append((path, f"is not kept in the memory store: {refusal.message}"))
            return
        if (now := at_path(self._connection, self._store_id, path)) is not None:
            self._agree(path, now)

    def _beside(self, path: str, content: str) -> None:
        """Keeps the session's text under another name, since somebody else has changed the memory meanwhile. A sync
        that is done again finds it there."""
        names, sha256 = list(_names_beside(path, content)), digest(content)
        other = next((name for name in names if self._holds(name, sha256)), "")
        if not other:
            taken = {*self._heads, *self._local}
            other = next((name for name in names if name not in taken), names[-1])
            try:
                self._room.take(content)
                create(self._connection, self._store_id, other, content, self._actor)
            except AppError as refusal:
                del self._fetch[path]
                words = "was changed by somebody else meanwhile, and there is no room for your text beside it"
                self._words.append((path, f"{words}: {refusal.message}"))
                return
            if (made := at_path(self._connection, self._store_id, other)) is not None:
                self._fetch[other] = made
        words = f"was changed by somebody else meanwhile. It holds that text now; yours is in {other[1:]}"
        self._words.append((path, words))

    def _holds(self, path: str, sha256: str) -> bool:
        return path in self._heads and self._heads[path].sha256 == sha256

    def _agree(self, path: str, memory: Memory) -> None:
        self._agreed[path] = (memory.version_id, memory.sha256)


def add_mounts(connection: Connection, session_id: str, store_ids: Iterable[str]) -> None:
    for store_id in store_ids:
        values = {"session_id": session_id, "store_id": store_id, "files_json": dump({})}
        connection.execute(insert(mounted_stores).values(values))


def has_store(session_id: ColumnElement[str], store_id: str) -> ColumnElement[bool]:
    return exists().where(mounted_stores.c.session_id == session_id, mounted_stores.c.store_id == store_id)


def _baseline(connection: Connection, session_id: str, store_id: str) -> Baseline:
    text = connection.execute(select(mounted_stores.c.files_json).where(_here(session_id, store_id))).scalar()
    kept = orjson.loads(text or "{}")
    return Baseline(kept.get("mark", ""), {path: tuple(one) for path, one in kept.get("files", {}).items()})


def _keep(connection: Connection, session_id: str, store_id: str, agreed: Baseline) -> None:
    values = {"files_json": dump({"mark": agreed.mark, "files": agreed.files})}
    connection.execute(update(mounted_stores).where(_here(session_id, store_id)).values(values))


def _here(session_id: str, store_id: str) -> ColumnElement[bool]:
    return (mounted_stores.c.session_id == session_id) & (mounted_stores.c.store_id == store_id)


def _names_beside(path: str, content: str) -> Iterator[str]:
    """Paths for another text, which are no longer than a path and its last name may be."""
    if len(path.encode()) > _LONGEST or len(path.rpartition("/")[2].encode()) > _LONGEST_NAME:
        path = f"/{digest(content)[:16]}"
    yield f"{path}.conflict"
    yield from (f"{path}.conflict-{number}" for number in range(2, _MOST_COPIES))
