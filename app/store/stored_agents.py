"""Agents that clients have defined, with all their versions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Select, and_, insert, select, true, update

from app.errors import Conflict, NotFound
from app.store.clock import now
from app.store.definitions import Change, Defined, Json, add, archive, defined, require_own, usable
from app.store.engine import Database
from app.store.key_pages import Window, within
from app.store.managed_tables import agent_versions, stored_agents
from app.store.outbox import announce
from app.store.quotas import NO_LIMITS, Limits
from app.store.row_mapping import dump

_STALE: Final = "Concurrent modification detected. Please fetch the latest version and retry."


class StoredAgents:
    """`owner` narrows a call to what one token's holder may use: their own, and what is shared. None: everything."""

    def __init__(self, database: Database, limits: Limits = NO_LIMITS) -> None:
        self._database = database
        self._most = limits.objects_per_owner

    def add(self, agent_id: str, definition: Json, *, owner: str, shared: bool) -> Defined:
        with self._database.writing() as connection:
            add(connection, stored_agents, agent_id, owner, shared=shared, most=self._most, version=1)
            _add_version(connection, agent_id, 1, definition)
            return _agent(connection, agent_id, None, None)

    def get(self, agent_id: str, *, version: int | None = None, owner: str | None) -> Defined:
        """NotFound for one that is not there, or not visible; and for a version that it does not have."""
        with self._database.reading() as connection:
            return _agent(connection, agent_id, version, owner)

    def page(self, window: Window, *, owner: str | None) -> Sequence[Defined]:
        query = within(_agents(owner), stored_agents, window)
        with self._database.reading() as connection:
            return [defined(row) for row in connection.execute(query)]

    def versions(self, agent_id: str, window: Window, *, owner: str | None) -> Sequence[Defined]:
        """Newest first, with one more than the limit. The window's place names a version."""
        with self._database.reading() as connection:
            newest = _agent(connection, agent_id, None, owner)
            query = _agents(owner, newest=False).where(stored_agents.c.id == agent_id)
            if window.after is not None:
                query = query.where(agent_versions.c.version < int(window.after[0]))
            query = query.order_by(agent_versions.c.version.desc()).limit(window.limit + 1)
            assert newest.id == agent_id  # noqa: S101 - it was found by this id
            return [defined(row) for row in connection.execute(query)]

    def change(self, agent_id: str, change: Change, *, expected: int | None, owner: str | None) -> Defined:
        """A new version, unless the change leaves all as it was. Conflict if the newest version is not `expected`; two
        changes at once come one after the other."""
        while True:
            with self._database.writing() as connection:
                before = _agent(connection, agent_id, None, owner)
                require_own(before, owner)
                if expected is not None and expected != before.version:
                    raise Conflict(_STALE)
                if (after := change(before)) == before.definition:
                    return before
                raised = connection.execute(
                    update(stored_agents)
                    .where(stored_agents.c.id == agent_id, stored_agents.c.version == before.version)
                    .values(version=before.version + 1, updated_at=now())
                )
                if raised.rowcount == 1:
                    _add_version(connection, agent_id, before.version + 1, after)
                    announce(connection, "agent.updated", agent_id)
                    return _agent(connection, agent_id, None, owner)

    def archive(self, agent_id: str, *, owner: str | None) -> Defined:
        with self._database.writing() as connection:
            require_own(_agent(connection, agent_id, None, owner), owner)
            archive(connection, stored_agents, agent_id)
            return _agent(connection, agent_id, None, owner)


def _agents(owner: str | None, *, newest: bool = True) -> Select[Any]:
    joined = stored_agents.join(
        agent_versions,
        and_(
            agent_versions.c.agent_id == stored_agents.c.id,
            agent_versions.c.version == stored_agents.c.version if newest else true(),
        ),
    )
    columns = [column for column in stored_agents.c if column.key not in ("version", "updated_at")]
    query = select(*columns, agent_versions.c.version, agent_versions.c.definition_json)
    changed = agent_versions.c.created_at.label("updated_at")
    return query.add_columns(changed).select_from(joined).where(usable(stored_agents, owner))


def _agent(connection: Connection, agent_id: str, version: int | None, owner: str | None) -> Defined:
    query = _agents(owner, newest=version is None).where(stored_agents.c.id == agent_id)
    if version is not None:
        query = query.where(agent_versions.c.version == version)
    if (row := connection.execute(query).first()) is not None:
        return defined(row)
    known = version is not None and connection.execute(_agents(owner).where(stored_agents.c.id == agent_id))
    raise NotFound("Agent version not found." if known and known.first() else "Agent not found.")


def _add_version(connection: Connection, agent_id: str, version: int, definition: Json) -> None:
    values = {"agent_id": agent_id, "version": version, "definition_json": dump(definition)}
    connection.execute(insert(agent_versions).values(created_at=now(), **values))
