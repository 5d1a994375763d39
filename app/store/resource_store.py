"""Resources of sessions of the Managed Agents API, and the files that sessions have written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from app.errors import InvalidRequest, NotFound
from app.store.clock import now
from app.store.engine import Database
from app.store.file_store import Content, FileFacts, StoredFile, add_file
from app.store.managed_tables import files, managed_sessions, repository_tokens, session_resources
from app.store.prepared_statements import Prepared
from app.store.row_mapping import dump
from app.store.sealed_store import SealedStore
from app.store.session_rows import find_session

Json = dict[str, Any]

MOST_FILES: Final = 500


@dataclass(frozen=True, slots=True)
class NewResource:
    """`settings` is what the API answers beside what the other fields say. A file that is mounted is a copy: it has the
    `content` of another one, and facts of its own. A repository may have a token, which is `sealed`."""

    id: str
    mount_path: str
    settings: Json
    content: Content | None = None
    facts: FileFacts | None = None
    sealed: str | None = None


@dataclass(frozen=True, slots=True)
class Resource:
    """Times are seconds since the epoch, by the database's clock."""

    id: str
    session_id: str
    number: int
    file_id: str | None
    mount_path: str
    settings: Json
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True)
class MountedFile:
    mount_path: str
    content_id: str
    mounted_at: float


class ResourceStore(SealedStore):
    """Which sessions the caller may see is asked before."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, key=repository_tokens.c.resource_id, sealed=repository_tokens.c.sealed)

    def of(self, session_ids: Sequence[str]) -> Mapping[str, Sequence[Resource]]:
        """The resources of each of these sessions, in the order in which they came."""
        query = (
            select(session_resources)
            .where(session_resources.c.session_id.in_(session_ids))
            .order_by(session_resources.c.session_id, session_resources.c.number)
        )
        found: dict[str, list[Resource]] = {session_id: [] for session_id in session_ids}
        with self._database.reading() as connection:
            for row in connection.execute(query):
                found[row.session_id].append(_resource(row))
        return found

    def get(self, session_id: str, resource_id: str) -> Resource:
        with self._database.reading() as connection:
            return _find(connection, session_id, resource_id)

    def add(
        self,
        session_id: str,
        new: NewResource,
        check: Callable[[Sequence[Resource]], None],
    ) -> Resource:
        """`check` may refuse it, by those that are there. SessionNotFound, InvalidRequest."""
        with self._database.writing() as connection:
            find_session(connection, session_id, lock=True)
            rows = connection.execute(
                select(session_resources).where(session_resources.c.session_id == session_id)
            )
            check([_resource(row) for row in rows])
            add_resources(connection, session_id, [new])
            return _find(connection, session_id, new.id)

    def delete(self, session_id: str, resource_id: str) -> None:
        """With the session's copy of a file."""
        with self._database.writing() as connection:
            find_session(connection, session_id, lock=True)
            found = _find(connection, session_id, resource_id)
            connection.execute(delete(session_resources).where(session_resources.c.id == resource_id))
            if found.file_id is not None:
                connection.execute(delete(files).where(files.c.id == found.file_id))

    def add_output(self, content: Content, facts: FileFacts, *, instead_of: str | None) -> StoredFile:
        """A file that its session has written, in the place of the one that it has written there before. NotFound if
        the session is gone."""
        assert facts.session_id is not None  # noqa: S101 - it is an output
        with self._database.writing() as connection:
            find_session(connection, facts.session_id, lock=True)
            added = add_file(connection, content, facts)
            if instead_of is not None:
                connection.execute(delete(files).where(files.c.id == instead_of))
            return added

    def repositories(self, session_id: str) -> list[Resource]:
        with self._database.glance() as connection:
            return [_resource(row) for row in _REPOSITORIES.all(connection, {"of_session": session_id})]

    def token(self, resource_id: str) -> str | None:
        """The sealed token of a repository; None if it has none."""
        query = select(repository_tokens.c.sealed).where(repository_tokens.c.resource_id == resource_id)
        with self._database.reading() as connection:
            return connection.scalar(query)

    def replace_token(self, session_id: str, resource_id: str, sealed: str) -> Resource:
        """InvalidRequest if the session is archived by now."""
        archived = select(managed_sessions.c.archived_at).where(managed_sessions.c.session_id == session_id)
        with self._database.writing() as connection:
            find_session(connection, session_id, lock=True)
            _find(connection, session_id, resource_id)
            if connection.scalar(archived) is not None:
                raise InvalidRequest("The session is archived.")
            connection.execute(
                delete(repository_tokens).where(repository_tokens.c.resource_id == resource_id)
            )
            _keep_token(connection, session_id, resource_id, sealed)
            connection.execute(
                update(session_resources)
                .where(session_resources.c.id == resource_id)
                .values(updated_at=now())
            )
            return _find(connection, session_id, resource_id)

    # ---- for the rotation of the key

    def mounted(self, session_id: str) -> list[MountedFile]:
        with self._database.glance() as connection:
            rows = _MOUNTED.all(connection, {"of_session": session_id})
            return [MountedFile(row.mount_path, row.content_id, row.created_at) for row in rows]


def add_resources(connection: Connection, session_id: str, new: Sequence[NewResource]) -> None:
    """For a transaction that has locked the session, or made it."""
    if not new:
        return
    here = session_resources.c.session_id == session_id
    count, last = connection.execute(
        select(
            func.count(session_resources.c.file_id), func.coalesce(func.max(session_resources.c.number), 0)
        ).where(here)
    ).one()
    if count + sum(one.facts is not None for one in new) > MOST_FILES:
        raise InvalidRequest(f"resources: a session has at most {MOST_FILES} files")
    for number, one in enumerate(new, last + 1):
        if one.content is not None and one.facts is not None:
            add_file(connection, one.content, one.facts)
        connection.execute(
            insert(session_resources).values(
                id=one.id,
                session_id=session_id,
                number=number,
                file_id=None if one.facts is None else one.facts.id,
                mount_path=one.mount_path,
                settings_json=dump(one.settings),
                created_at=now(),
                updated_at=now(),
            )
        )
        if one.sealed is not None:
            _keep_token(connection, session_id, one.id, one.sealed)


def forget_tokens(connection: Connection, session_id: str) -> None:
    """For a transaction after which no run works on the session any more."""
    connection.execute(delete(repository_tokens).where(repository_tokens.c.session_id == session_id))


def _keep_token(connection: Connection, session_id: str, resource_id: str, sealed: str) -> None:
    values = {"resource_id": resource_id, "session_id": session_id, "sealed": sealed}
    connection.execute(insert(repository_tokens).values(values))


def _find(connection: Connection, session_id: str, resource_id: str) -> Resource:
    query = select(session_resources).where(
        session_resources.c.session_id == session_id, session_resources.c.id == resource_id
    )
    if (row := connection.execute(query).first()) is None:
        raise NotFound("Resource not found.")
    return _resource(row)


def _resource(row: Any) -> Resource:
    return Resource(
        row.id,
        row.session_id,
        row.number,
        row.file_id,
        row.mount_path,
        orjson.loads(row.settings_json),
        row.created_at,
        row.updated_at,
    )


_MOUNTED: Final = Prepared(
    select(session_resources.c.mount_path, files.c.content_id, files.c.created_at)
    .join(files, files.c.id == session_resources.c.file_id)
    .where(session_resources.c.session_id == bindparam("of_session"))
)
_REPOSITORIES: Final = Prepared(
    select(session_resources)
    .where(session_resources.c.session_id == bindparam("of_session"), session_resources.c.file_id.is_(None))
    .order_by(session_resources.c.number)
)
