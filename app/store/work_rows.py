"""Work items: a session that a worker of a self-hosted environment has to look after, and how its row is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import ColumnElement, Connection, Row, select, update

from app.errors import NotFound
from app.store.clock import now
from app.store.columns import one_of
from app.store.managed_tables import managed_sessions, work_items

Json = dict[str, Any]

LEASED: Final = ("starting", "active", "stopping")


@dataclass(frozen=True, slots=True)
class WorkItem:
    """Times are seconds since the epoch, by the database's clock. `shown` is the number of the last event of a call
    that its worker was shown; None if that one has not looked at the session. `leased`: a worker has it, and its lease
    has not run out."""

    id: str
    session_id: str
    environment_id: str
    state: str
    metadata: Json
    created_at: float
    acknowledged_at: float | None
    started_at: float | None
    latest_heartbeat_at: float | None
    stop_requested_at: float | None
    stopped_at: float | None
    ttl_seconds: int
    token_digest: str | None
    shown: int | None
    attempts: int
    given_up: bool
    leased: bool


def is_leased() -> ColumnElement[bool]:
    return one_of(work_items.c.state, LEASED) & (work_items.c.lease_expires_at > now())


def locked(connection: Connection, item_id: str, environment_id: str | None = None) -> WorkItem:
    """The item, whose row stays locked. NotFound."""
    hold = update(work_items).where(work_items.c.id == item_id).values(id=work_items.c.id)
    connection.execute(hold)
    return found(connection, item_id, environment_id)


def found(connection: Connection, item_id: str, environment_id: str | None = None) -> WorkItem:
    """NotFound."""
    query = select(work_items, is_leased().label("leased")).where(work_items.c.id == item_id)
    if environment_id is not None:
        query = query.where(work_items.c.environment_id == environment_id)
    if (row := connection.execute(query).first()) is None:
        raise NotFound("Work not found.")
    return work_item(row)


def stop_with_session(connection: Connection, session_id: str) -> None:
    """Nobody takes the work of an archived session any more; a worker that has it is asked to stop."""
    mine = work_items.c.session_id == session_id
    for states, values in (
        (("queued",), {"state": "stopped", "stopped_at": now()}),
        (("starting", "active"), {"state": "stopping"}),
    ):
        stopping = update(work_items).where(mine, one_of(work_items.c.state, states))
        connection.execute(stopping.values(stop_requested_at=now(), **values))


def is_archived(connection: Connection, session_id: str) -> bool:
    query = select(managed_sessions.c.archived_at).where(managed_sessions.c.session_id == session_id)
    return connection.execute(query).scalar() is not None


def work_item(row: Row[Any]) -> WorkItem:
    values = row._mapping
    same = {
        name: values[name]
        for name in WorkItem.__dataclass_fields__
        if name not in ("metadata", "given_up", "leased")
    }
    return WorkItem(
        metadata=orjson.loads(values["metadata_json"]),
        given_up=bool(values["given_up"]),
        leased=bool(values["leased"]),
        **same,
    )
