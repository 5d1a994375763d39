"""Threads: sessions below one of the Managed Agents API. How they are is read from what was told of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import orjson
from sqlalchemy import Connection, bindparam, select

from app.conversation.session import Session
from app.conversation.session_thread import SessionThread, ThreadStatus
from app.conversation.usage import Usage
from app.errors import InvalidRequest, NotFound
from app.managed_ids import new_id, thread_id
from app.store.audit_notes import note
from app.store.engine import Database
from app.store.managed_tables import told_events
from app.store.row_mapping import session_of, value_of
from app.store.run_rows import live_run_row
from app.store.session_rows import find_session
from app.store.tables import messages, sessions, summaries
from app.store.told_events import COPY, database_time, event_row, place, tell
from app.store.tree_store import sum_of

ENDED: Final = "session.thread_status_terminated"
_RUNNING: Final = "session.thread_status_running"
_IDLE: Final = "session.thread_status_idle"

_THREADS: Final = (
    select(sessions)
    .where(sessions.c.parent_id == bindparam("root"))
    .order_by(sessions.c.created_at, sessions.c.id)
)
_BELOW: Final = select(sessions.c.id).where(sessions.c.parent_id == bindparam("root"))
_STATUSES: Final = (
    select(told_events.c.session_id, told_events.c.type, told_events.c.processed_at)
    .where(
        told_events.c.session_id.in_(_BELOW),
        told_events.c.number.is_not(None),
        told_events.c.type.in_((_RUNNING, _IDLE, ENDED)),
    )
    .order_by(told_events.c.number)
)
_ENDING: Final = select(told_events.c.body_json, told_events.c.created_at).where(
    told_events.c.session_id == bindparam("root"),
    told_events.c.number.is_(None),
    told_events.c.type == ENDED,
)
"""Ends that no run has come to yet."""
_USAGE: Final = (
    select(messages.c.session_id, messages.c.usage_json)
    .where(messages.c.session_id.in_(_BELOW), messages.c.usage_json.is_not(None))
    .union_all(
        select(summaries.c.session_id, summaries.c.usage_json).where(
            summaries.c.session_id.in_(_BELOW), summaries.c.usage_json.is_not(None)
        )
    )
)


class ThreadStore:
    def __init__(self, database: Database, count_addition: Callable[[], None]) -> None:
        """`count_addition` is called when there is something that a run has to come to."""
        self._database = database
        self._count_addition = count_addition

    def of(self, root: str) -> list[SessionThread]:
        """The threads of a session, the oldest first; without its primary one."""
        with self._database.reading() as connection:
            return threads_of(connection, root)

    def end(self, root: str, thread: SessionThread, *, name: str, refusal: str) -> None:
        """Ends a thread for good: at once, or at the next safe point of the run that has the session. One that has
        ended stays as it is. InvalidRequest with the words of the refusal while it works. `name` is its agent's."""
        with self._database.writing() as connection:
            find_session(connection, root, lock=True)
            now_it = next(
                (one for one in threads_of(connection, root) if one.session.id == thread.session.id), None
            )
            if now_it is None:
                raise NotFound("Thread not found.")
            if now_it.status == "running":
                raise InvalidRequest(refusal)
            if now_it.status == "terminated":
                return
            event, at = new_id("sevt"), database_time(connection)
            body = {"session_thread_id": thread_id(thread.session.id), "agent_name": name}
            rows = [event_row(root, event, ENDED, body, at=at, number=None)]
            if live_run_row(connection, root) is None:
                place(connection, root, rows)
                copy = [event_row(thread.session.id, event + COPY, ENDED, body, at=at, number=None)]
                place(connection, thread.session.id, copy)
                rows += copy
            tell(connection, rows)
            note(connection, "archive", thread.session.id)
            self._database.notify(connection, root)
        self._count_addition()


def threads_of(connection: Connection, root: str) -> list[SessionThread]:
    here = {"root": root}
    found = [session_of(row) for row in connection.execute(_THREADS, here)]
    if not found:
        return []
    # before the statuses: a run may come to an end between the two
    ending = {
        orjson.loads(row.body_json)["session_thread_id"]: row.created_at
        for row in connection.execute(_ENDING, here)
    }
    statuses: dict[str, list[tuple[str, float]]] = {}
    for row in connection.execute(_STATUSES, here):
        statuses.setdefault(row.session_id, []).append((row.type, row.processed_at))
    used: dict[str, list[Usage]] = {}
    for of_session, text in connection.execute(_USAGE, here):
        if (usage := value_of(Usage, text)) is not None:
            used.setdefault(of_session, []).append(usage)
    now = database_time(connection)
    return [_thread(one, statuses.get(one.id, []), ending, used.get(one.id, []), now) for one in found]


def _thread(
    session: Session,
    statuses: Sequence[tuple[str, float]],
    ending: Mapping[str, float],
    used: Sequence[Usage],
    now: float,
) -> SessionThread:
    status: ThreadStatus = "idle"
    active, since, ended_at = 0.0, None, None
    for kind, at in statuses:
        if since is not None:
            active, since = active + at - since, None
        if kind == _RUNNING:
            status, since = "running", at
        else:
            status = "terminated" if kind == ENDED else "idle"
            ended_at = at if kind == ENDED else None
    if thread_id(session.id) in ending:
        status, ended_at = "terminated", ending[thread_id(session.id)]
    if since is not None:
        active += max(0.0, now - since)
    updated_at = ended_at or (statuses[-1][1] if statuses else session.created_at)
    return SessionThread(session, status, updated_at, ended_at, sum_of(used), active, now)
