"""Files of clients and of sessions. A content lies in chunks, so no transaction and no reader has all of it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    delete,
    func,
    insert,
    literal_column,
    or_,
    select,
    tuple_,
    update,
)

from app.errors import AppError, InvalidRequest, NotFound
from app.store.advisory_locks import take_turns
from app.store.clock import ago, now
from app.store.engine import Database
from app.store.key_pages import Place
from app.store.managed_tables import file_chunks, file_contents, files
from app.store.pruning import drop

CHUNK: Final = 1 << 20
UNFINISHED_SECONDS: Final = 86_400.0
"""The age at which a content that no file has is given up: whoever wrote it is gone."""

EXPIRED_AT_ONCE: Final = 10
"""Files of one transaction, with all their chunks."""

_UNUSED: Final = file_contents.c.uses == literal_column("0")
"""Written out, so that the partial index is found."""


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes that are stored. Without a file they are given up after a day."""

    id: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class FileFacts:
    """The facts of a file when it is stored. `session_id`: the session that it goes with."""

    id: str
    owner: str
    filename: str
    mime_type: str
    downloadable: bool = False
    session_id: str | None = None
    output_path: str | None = None
    output_changed: int | None = None
    lasts: float | None = None  # seconds; None: for good


@dataclass(frozen=True, slots=True)
class StoredFile:
    """Times are seconds since the epoch, by the database's clock."""

    id: str
    owner: str
    session_id: str | None
    content_id: str
    filename: str
    mime_type: str
    size_bytes: int
    downloadable: bool
    output_path: str | None
    output_changed: int | None
    created_at: float
    expires_at: float | None


@dataclass(frozen=True, slots=True)
class FilePage:
    """A part of the list of files, newest first; `before`: the part that ends before this place, instead."""

    limit: int
    after: Place | None = None
    before: Place | None = None
    session_id: str | None = None
    ids: Sequence[str] | None = None


class FileStore:
    """`owner` narrows a call to what one token's holder may use. None: everything."""

    def __init__(self, database: Database, *, most_bytes: int = 0) -> None:
        """`most_bytes` of the contents of one name; 0: any number."""
        self._database = database
        self._most = most_bytes

    def keep(self, pieces: Iterable[bytes], *, owner: str) -> Content:
        """Stores bytes, one transaction for each piece, which has at most `CHUNK` of them. InvalidRequest if the owner
        may have no more; whatever is raised, also by the pieces, nothing stays."""
        content_id, size = uuid.uuid4().hex, 0
        with self._database.writing() as connection:
            self._check_room(connection, owner, 0)
            connection.execute(
                insert(file_contents).values(
                    id=content_id, owner=owner, size_bytes=0, uses=0, created_at=now()
                )
            )
        try:
            for number, piece in enumerate(pieces):
                with self._database.writing() as connection:
                    connection.execute(
                        insert(file_chunks).values(content_id=content_id, number=number, data=piece)
                    )
                size += len(piece)
            with self._database.writing() as connection:
                take_turns(connection, f"files of {owner}")
                self._check_room(connection, owner, size)
                values = {"size_bytes": size}
                connection.execute(
                    update(file_contents).where(file_contents.c.id == content_id).values(values)
                )
        except BaseException:
            self.forget(Content(content_id, size))
            raise
        return Content(content_id, size)

    def forget(self, content: Content) -> None:
        """Drops a content that no file has. Never raises: what stays is given up later."""
        unused = and_(file_contents.c.id == content.id, _UNUSED)
        try:
            with self._database.writing() as connection:
                connection.execute(delete(file_contents).where(unused))
        except AppError:
            return

    def add(self, content: Content, facts: FileFacts) -> StoredFile:
        with self._database.writing() as connection:
            return add_file(connection, content, facts)

    def get(self, file_id: str, *, owner: str | None) -> StoredFile:
        """NotFound, in other words for one that has expired."""
        with self._database.reading() as connection:
            return find_file(connection, file_id, owner)

    def pieces(self, content_id: str) -> Iterator[bytes]:
        """The bytes, chunk by chunk, each in a transaction of its own. NotFound if they are deleted meanwhile."""
        with self._database.reading() as connection:
            size = connection.execute(
                select(file_contents.c.size_bytes).where(file_contents.c.id == content_id)
            ).scalar()
        number = sent = 0
        while size is None or sent < size:
            query = select(file_chunks.c.data).where(
                file_chunks.c.content_id == content_id, file_chunks.c.number == number
            )
            with self._database.reading() as connection:
                data = connection.execute(query).scalar()
            if data is None:
                raise NotFound("File not found.")
            yield bytes(data)
            number, sent = number + 1, sent + len(data)

    def page(self, wanted: FilePage, *, owner: str | None) -> list[StoredFile]:
        """Newest first, also if it is the part before a place; with one more than the limit."""
        query = _usable(owner)
        key = tuple_(files.c.created_at, files.c.id)
        if wanted.session_id is not None:
            query = query.where(files.c.session_id == wanted.session_id)
        if wanted.ids is not None:
            query = query.where(files.c.id.in_(wanted.ids))
        if wanted.after is not None:
            query = query.where(key < tuple_(*wanted.after))
        order: list[Any] = [files.c.created_at.desc(), files.c.id.desc()]
        if wanted.before is not None:
            query, order = query.where(key > tuple_(*wanted.before)), [files.c.created_at, files.c.id]
        query = query.order_by(*order).limit(wanted.limit + 1)
        with self._database.reading() as connection:
            return [stored_file(row) for row in connection.execute(query)]

    def outputs(self, session_id: str) -> list[StoredFile]:
        """The files that the session has written, newest first."""
        query = (
            select(files)
            .where(files.c.session_id == session_id, files.c.output_path.is_not(None))
            .order_by(files.c.created_at.desc(), files.c.id.desc())
        )
        with self._database.reading() as connection:
            return [stored_file(row) for row in connection.execute(query)]

    def delete(self, file_id: str, *, owner: str | None) -> None:
        with self._database.writing() as connection:
            find_file(connection, file_id, owner)
            connection.execute(delete(files).where(files.c.id == file_id))

    def prune(self) -> tuple[int, int]:
        """Drops files that have expired, and contents that no file has. Returns how many of each."""
        expired = and_(files.c.expires_at.is_not(None), files.c.expires_at <= ago(0))
        unused = and_(_UNUSED, file_contents.c.created_at < ago(UNFINISHED_SECONDS))
        gone = drop(self._database, files, expired, at_once=EXPIRED_AT_ONCE)
        return gone, drop(self._database, file_contents, unused, at_once=EXPIRED_AT_ONCE)

    def _check_room(self, connection: Connection, owner: str, more: int) -> None:
        if not self._most:
            return
        held = connection.execute(
            select(func.coalesce(func.sum(file_contents.c.size_bytes), 0)).where(
                file_contents.c.owner == owner
            )
        ).scalar_one()
        if held + more > self._most or held >= self._most:
            raise InvalidRequest(
                f"The files of this name may hold {self._most:,} bytes together, and hold {held:,} already.",
                error_code="storage_quota_exceeded",
            )


def add_file(connection: Connection, content: Content, facts: FileFacts) -> StoredFile:
    """A file with that content. NotFound if the content is gone. In a session's transaction the session's row is locked
    before this, as whoever deletes a session locks it before its files."""
    counted = connection.execute(
        update(file_contents).where(file_contents.c.id == content.id).values(uses=file_contents.c.uses + 1)
    )
    if counted.rowcount != 1:
        raise NotFound("File not found.")
    connection.execute(
        insert(files).values(
            id=facts.id,
            owner=facts.owner,
            session_id=facts.session_id,
            content_id=content.id,
            filename=facts.filename,
            mime_type=facts.mime_type,
            size_bytes=content.size_bytes,
            downloadable=facts.downloadable,
            output_path=facts.output_path,
            output_changed=facts.output_changed,
            created_at=now(),
            expires_at=None if facts.lasts is None else now() + facts.lasts,
        )
    )
    return find_file(connection, facts.id, None)


def find_file(connection: Connection, file_id: str, owner: str | None) -> StoredFile:
    """NotFound, in other words for one that has expired."""
    query = select(files, (files.c.expires_at <= now()).label("has_expired")).where(files.c.id == file_id)
    if owner is not None:
        query = query.where(files.c.owner == owner)
    row = connection.execute(query).first()
    if row is None:
        raise NotFound("File not found.")
    if row.has_expired:
        raise NotFound("File has expired.", error_code="file_expired")
    return stored_file(row)


def stored_file(row: Any) -> StoredFile:
    return StoredFile(**{name: row._mapping[name] for name in StoredFile.__slots__})


def _usable(owner: str | None) -> Select[Any]:
    lasts: ColumnElement[bool] = or_(files.c.expires_at.is_(None), files.c.expires_at > now())
    query = select(files).where(lasts)
    return query if owner is None else query.where(files.c.owner == owner)
