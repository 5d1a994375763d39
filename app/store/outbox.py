"""What webhooks have to tell: written in the transaction of what it tells of, so that neither is there without the
other. Nothing is written for a server without an endpoint."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import orjson
from sqlalchemy import Connection, bindparam, column, insert, select, table

from app.managed_ids import id_of, new_id, thread_id
from app.store.clock import now
from app.store.engine import announces
from app.store.prepared_statements import Prepared, Values

Json = dict[str, Any]

_NAMES: Final[Mapping[str, str]] = {
    "session.status_running": "session.status_run_started",
    "session.status_idle": "session.status_idled",
    "session.status_rescheduled": "session.status_rescheduled",
    "session.status_terminated": "session.status_terminated",
    "session.thread_created": "session.thread_created",
    "session.thread_status_idle": "session.thread_idled",
    "session.thread_status_terminated": "session.thread_terminated",
    "session.updated": "session.updated",
    "span.outcome_evaluation_end": "session.outcome_evaluation_ended",
}
"""The names that webhooks have for events of sessions."""

_GIVEN: Final = ("id", "type", "subject_json", "attempts")
_DELIVERIES: Final = table("webhook_deliveries", *map(column, _GIVEN), column("created_at"), column("due_at"))
ANNOUNCE: Final = Prepared(
    insert(_DELIVERIES).inline().values(created_at=now(), due_at=now()), columns=_GIVEN
)
"""Takes rows of `announcements`."""


_SESSIONS: Final = table("managed_sessions", column("session_id"))
_MANAGED: Final = Prepared(select(_SESSIONS.c.session_id).where(_SESSIONS.c.session_id == bindparam("here")))


def announcements(rows: Iterable[Values]) -> list[Values]:
    """What `ANNOUNCE` has to write with these rows of `told_events`: for those that have got their place."""
    return [_row(kind, subject) for kind, subject in _of_events(rows)]


def announce(connection: Connection, kind: str, object_id: str, **more: str) -> None:
    """That something has happened to an object; `more` are further ids that this kind of event tells."""
    if announces(connection):
        ANNOUNCE.run(connection, _row(kind, {"id": object_id, **more}))


def announce_session(connection: Connection, kind: str, session_id: str) -> None:
    announce(connection, kind, _session(session_id))


def announce_deleted(connection: Connection, session_id: str) -> None:
    """Before the session is deleted, if it is one of the Managed Agents API."""
    if announces(connection) and _MANAGED.first(connection, {"here": session_id}) is not None:
        announce_session(connection, "session.deleted", session_id)


def _row(kind: str, subject: Json) -> Values:
    return {
        "id": new_id("event"),
        "type": kind,
        "subject_json": orjson.dumps(subject).decode(),
        "attempts": 0,
    }


def _of_events(rows: Iterable[Values]) -> Iterator[tuple[str, Json]]:
    for row in rows:
        name = _NAMES.get(row["type"])
        if name is None or row["number"] is None:
            continue
        subject = {"id": _session(row["session_id"])}
        body = orjson.loads(row["body_json"])
        if name.startswith("session.thread_"):
            thread = body["session_thread_id"]
            if thread == thread_id(row["session_id"]):
                continue  # the primary one is idle when its session is, which is told
            subject["session_thread_id"] = thread
        if name == "session.status_idled" and body["stop_reason"]["type"] == "budget_reached":
            yield "session.budget_reached", subject
        yield name, subject


def _session(session_id: str) -> str:
    return id_of("sesn", uuid.UUID(session_id))
