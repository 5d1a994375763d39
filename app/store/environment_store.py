"""Environments that clients have defined."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, select, update

from app.errors import InvalidRequest, NotFound
from app.store.clock import now
from app.store.definitions import Change, Defined, Json, add, archive, defined, lock, require_own, usable
from app.store.engine import Database
from app.store.key_pages import Window, within
from app.store.managed_tables import environments, managed_sessions
from app.store.outbox import announce
from app.store.quotas import NO_LIMITS, Limits
from app.store.row_mapping import dump
from app.store.tables import sessions


class EnvironmentStore:
    """`owner` narrows a call to what one token's holder may use: their own, and what is shared. None: everything."""

    def __init__(self, database: Database, limits: Limits = NO_LIMITS) -> None:
        self._database = database
        self._most = limits.objects_per_owner

    def add(self, environment_id: str, definition: Json, *, owner: str, shared: bool) -> Defined:
        with self._database.writing() as connection:
            values = {"definition_json": dump(definition)}
            add(connection, environments, environment_id, owner, shared=shared, most=self._most, **values)
            return _environment(connection, environment_id, None)

    def get(self, environment_id: str, *, owner: str | None) -> Defined:
        with self._database.reading() as connection:
            return _environment(connection, environment_id, owner)

    def called(self, name_or_id: str, *, owner: str) -> Sequence[Defined]:
        """The environments of this name or id that the owner may use, in any order. Archived ones are left out."""
        query = select(environments).where(usable(environments, owner), environments.c.archived_at.is_(None))
        with self._database.reading() as connection:
            every = [defined(row) for row in connection.execute(query)]
        return [one for one in every if name_or_id in (one.id, one.definition["name"])]

    def page(self, window: Window, *, owner: str | None) -> Sequence[Defined]:
        query = within(select(environments).where(usable(environments, owner)), environments, window)
        with self._database.reading() as connection:
            return [defined(row) for row in connection.execute(query)]

    def change(
        self, environment_id: str, change: Change, *, shared: bool | None, owner: str | None
    ) -> Defined:
        with self._database.writing() as connection:
            lock(connection, environments, environment_id)
            before = _environment(connection, environment_id, owner)
            require_own(before, owner)
            values: Json = {"definition_json": dump(change(before)), "updated_at": now()}
            if shared is not None:
                values["shared"] = shared
            connection.execute(update(environments).where(environments.c.id == environment_id).values(values))
            announce(connection, "environment.updated", environment_id)
            return _environment(connection, environment_id, owner)

    def archive(self, environment_id: str, *, owner: str | None) -> Defined:
        with self._database.writing() as connection:
            require_own(_environment(connection, environment_id, owner), owner)
            archive(connection, environments, environment_id)
            return _environment(connection, environment_id, owner)

    def delete(self, environment_id: str, *, owner: str | None) -> None:
        """InvalidRequest for a self-hosted one whose sessions still need its workers."""
        with self._database.writing() as connection:
            found = _environment(connection, environment_id, owner)
            require_own(found, owner)
            if found.definition["config"]["type"] == "self_hosted":
                _refuse_used(connection, environment_id)
            connection.execute(delete(environments).where(environments.c.id == environment_id))
            announce(connection, "environment.deleted", environment_id)

    def is_used(self, directory: str) -> bool:
        """Does a session work in this directory?"""
        query = select(sessions.c.id).where(sessions.c.working_dir == directory).limit(1)
        with self._database.reading() as connection:
            return connection.execute(query).first() is not None


def _refuse_used(connection: Connection, environment_id: str) -> None:
    used = select(managed_sessions.c.session_id).where(
        managed_sessions.c.environment_id == environment_id, managed_sessions.c.archived_at.is_(None)
    )
    if connection.execute(used.limit(1)).first() is not None:
        raise InvalidRequest(
            f"Environment {environment_id} has sessions whose tools its workers run: archive or delete them first."
        )


def _environment(connection: Connection, environment_id: str, owner: str | None) -> Defined:
    query = select(environments).where(environments.c.id == environment_id, usable(environments, owner))
    if (row := connection.execute(query).first()) is None:
        raise NotFound("Environment not found.", error_code="environment_not_found")
    return defined(row)
