"""All that belongs to a name, in whatever table: read as a whole, and removed."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Table, select, tuple_

from app.store import managed_tables, tables
from app.store.engine import Database
from app.store.pruning import drop

Condition = Callable[[str], ColumnElement[bool]]
Json = Mapping[str, Any]

AT_ONCE: Final = 50
"""Rows that are held at once: a message may have megabytes."""


@dataclass(frozen=True, slots=True)
class Belonging:
    """The rows of a table that belong to a name. `hidden` are columns that nobody is shown: secrets. `own`: the rows
    are removed by themselves; others go with what they are a part of. `at_once` of them are held in memory."""

    table: Table
    of: Condition
    own: bool = False
    hidden: frozenset[str] = frozenset()
    at_once: int = AT_ONCE


def _owned(table: Table, **more: Any) -> Belonging:
    return Belonging(table, lambda name: table.c.owner == name, own=True, **more)


def _of_parent(column: Column[Any], parent: Table, **more: Any) -> Belonging:
    """Rows that go with a row of another table."""
    return Belonging(
        column.table,
        lambda name: column.in_(select(parent.c.id).where(parent.c.owner == name)),
        **more,
    )


def _of_session(table: Table, **more: Any) -> Belonging:
    return _of_parent(table.c.session_id, tables.sessions, **more)


def _skills_archives(name: str) -> ColumnElement[bool]:
    versions = (
        select(managed_tables.skill_versions.c.id)
        .join(managed_tables.skills)
        .where(managed_tables.skills.c.owner == name)
    )
    return managed_tables.skill_archives.c.version_id.in_(versions)


BELONGINGS: Final[Sequence[Belonging]] = (
    _owned(managed_tables.stored_agents),
    _of_parent(managed_tables.agent_versions.c.agent_id, managed_tables.stored_agents),
    _owned(managed_tables.environments),
    _owned(managed_tables.memory_stores),
    _of_parent(managed_tables.memories.c.store_id, managed_tables.memory_stores),
    _of_parent(managed_tables.memory_versions.c.store_id, managed_tables.memory_stores),
    _owned(managed_tables.vaults),
    _of_parent(
        managed_tables.vault_credentials.c.vault_id, managed_tables.vaults, hidden=frozenset({"sealed"})
    ),
    _owned(managed_tables.skills),
    _of_parent(managed_tables.skill_versions.c.skill_id, managed_tables.skills),
    Belonging(managed_tables.skill_archives, _skills_archives, at_once=4),
    _owned(managed_tables.files),
    _owned(managed_tables.file_contents),
    _of_parent(managed_tables.file_chunks.c.content_id, managed_tables.file_contents, at_once=4),
    # A session has to be stopped before it goes, so its rows are not removed here.
    Belonging(tables.sessions, lambda name: tables.sessions.c.owner == name),
    _of_session(managed_tables.managed_sessions),
    _of_session(managed_tables.mounted_stores),
    _of_session(managed_tables.session_resources),
    _of_session(managed_tables.repository_tokens, hidden=frozenset({"sealed"})),
    _of_session(managed_tables.session_skills),
    _of_session(managed_tables.work_items),
    _of_session(tables.messages),
    _of_session(tables.summaries),
    _of_session(tables.prompts),
    _of_session(tables.queued_messages),
    _of_session(tables.runs),
    _of_session(tables.tool_calls),
    _of_session(tables.tool_states),
    _of_session(managed_tables.told_events),
    _of_session(managed_tables.outcomes),
    _owned(tables.idempotency_keys),
    _owned(tables.spending),
    _owned(tables.request_allowances),
)
"""A table whose rows belong to names has a line here. Rows come behind what they are a part of."""


@dataclass(frozen=True, slots=True)
class OwnSession:
    id: str
    working_dir: str


class Belongings:
    def __init__(self, database: Database) -> None:
        self._database = database

    def rows(self, name: str) -> Iterator[tuple[str, Sequence[Json]]]:
        """All that belongs to the name: the table, and some of its rows, in the order of their keys. Each part is read
        when it is asked for, in a transaction of its own."""
        for belonging in BELONGINGS:
            for page in self._pages(belonging, name):
                yield belonging.table.name, page

    def sessions(self, name: str) -> Sequence[OwnSession]:
        """Oldest first, and tasks behind what they belong to."""
        one = tables.sessions.c
        query = select(one.id, one.working_dir).where(one.owner == name)
        query = query.order_by(one.parent_id.is_not(None), one.created_at)
        with self._database.reading() as connection:
            return [OwnSession(row.id, row.working_dir) for row in connection.execute(query)]

    def remove(self, name: str) -> dict[str, int]:
        """Removes what belongs to the name, but for its sessions, in short transactions. The answer has the number of
        rows by table."""
        return {
            str(one.table.name): drop(self._database, one.table, one.of(name))
            for one in BELONGINGS
            if one.own
        }

    def _pages(self, belonging: Belonging, name: str) -> Iterator[Sequence[Json]]:
        table = belonging.table
        keys = [*table.primary_key.columns]
        shown = [column for column in table.c if column.key not in belonging.hidden]
        behind: Sequence[Any] | None = None
        while True:
            query = select(*shown).where(belonging.of(name)).order_by(*keys).limit(belonging.at_once)
            if behind is not None:
                query = query.where(tuple_(*keys) > tuple_(*behind))
            with self._database.reading() as connection:
                found = [dict(row._mapping) for row in connection.execute(query)]
            if found:
                yield [{str(key): _written(value) for key, value in row.items()} for row in found]
            if len(found) < belonging.at_once:
                return
            behind = [found[-1][column.key] for column in keys]


def _written(value: Any) -> Any:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value
