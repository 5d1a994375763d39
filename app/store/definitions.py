"""What clients of the Managed Agents API define, and how its tables are read and written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import orjson
from sqlalchemy import ColumnElement, Connection, Table, func, insert, or_, select, true, update

from app.errors import Forbidden, InvalidRequest
from app.store.advisory_locks import take_turns
from app.store.clock import now
from app.store.outbox import announce

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Defined:
    """`definition` is JSON in the form in which the API answers. Times are seconds since the epoch, by the database's
    clock."""

    id: str
    owner: str
    version: int
    definition: Json
    created_at: float
    updated_at: float
    archived_at: float | None


class Owned(Protocol):
    """Its `owner` is a token's name."""

    @property
    def owner(self) -> str: ...


Change = Callable[[Defined], Json]

_KINDS: Final = {
    "stored_agents": "agent",
    "environments": "environment",
    "vaults": "vault",
    "memory_stores": "memory_store",
}
"""The words of webhooks for what stands in these tables. They tell nothing of other things."""


def usable(table: Table, owner: str | None) -> ColumnElement[bool]:
    """What one token's holder may use: their own, and what is shared. None: everything."""
    return or_(table.c.owner == owner, table.c.shared) if owner is not None else true()


def require_own(found: Owned, owner: str | None) -> None:
    """Forbidden for what its owner shares: others may use it, and not change it."""
    if owner is not None and found.owner != owner:
        raise Forbidden("Only its owner and operators may change this.")


def add(
    connection: Connection,
    table: Table,
    row_id: str,
    owner: str,
    *,
    shared: bool,
    most: int = 0,
    **values: Any,
) -> None:
    """InvalidRequest if the owner has `most` already; 0 is no limit, and what belongs to nobody has none."""
    if owner and most:
        take_turns(connection, f"{table.name} of {owner}")
        count = select(func.count()).select_from(table).where(table.c.owner == owner)
        if connection.execute(count).scalar_one() >= most:
            raise InvalidRequest(
                f"{owner} has {most} of these already, archived ones among them, which is as many as may be; "
                "delete some, or ask an operator.",
                error_code="storage_quota_exceeded",
            )
    times = {"created_at": now(), "updated_at": now()}
    connection.execute(insert(table).values(id=row_id, owner=owner, shared=shared, **times, **values))
    _announce(connection, table, "created", row_id)


def archive(connection: Connection, table: Table, row_id: str) -> None:
    """A row that is archived already stays as it is."""
    archived = connection.execute(
        update(table).where(table.c.id == row_id, table.c.archived_at.is_(None)).values(archived_at=now())
    )
    if archived.rowcount:
        _announce(connection, table, "archived", row_id)


def _announce(connection: Connection, table: Table, done: str, row_id: str) -> None:
    if (kind := _KINDS.get(table.name)) is not None:
        announce(connection, f"{kind}.{done}", row_id)


def lock(connection: Connection, table: Table, row_id: str) -> None:
    """Two changes at once come one after the other."""
    connection.execute(update(table).where(table.c.id == row_id).values(updated_at=table.c.updated_at))


def defined(row: Any) -> Defined:
    values = row._mapping
    return Defined(
        id=values["id"],
        owner=values["owner"],
        version=values.get("version", 1),
        definition=orjson.loads(values["definition_json"]),
        created_at=values["created_at"],
        updated_at=values["updated_at"],
        archived_at=values["archived_at"],
    )
