"""Messages that wait for a run. An accepted message is a row; it enters a transcript exactly once, or is still here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Row, bindparam, delete, exists, func, insert, or_, select, update

from app.conversation.queued_message import CAPACITY, QueuedMessage, QueueKind
from app.conversation.run import Baton
from app.conversation.transcript import Message
from app.errors import NotRunning, QueuedMessageNotFound, QueueFull, SessionBusy, TakenAlready
from app.store.audit_notes import note
from app.store.clock import ago, now
from app.store.engine import Database
from app.store.fence import Fence, WrittenAlready
from app.store.idempotency import KeyUse, use_key
from app.store.prepared_statements import Prepared
from app.store.pruning import drop
from app.store.row_mapping import dump, run_of
from app.store.session_rows import append_messages, find_session
from app.store.tables import IS_LIVE, queued_messages, runs

STRANDED_SECONDS: Final = 3.0
KEEP_TAKEN_SECONDS: Final = 86_400.0

_ALL_WAITING: Final = Prepared(
    select(queued_messages)
    .where(queued_messages.c.session_id == bindparam("session_id"), queued_messages.c.taken_by.is_(None))
    .order_by(queued_messages.c.number)
)


class QueueStore:
    def __init__(self, database: Database, fence: Fence) -> None:
        self._database = database
        self._fence = fence

    def add(
        self,
        new: Sequence[QueuedMessage],
        *,
        needs_run: bool,
        agent: str | None = None,
        key: KeyUse | None = None,
    ) -> bool:
        """Stores all of them, for one session, or none. Says whether a run is at work on the session.

        QueueFull; NotRunning if there is no run and `needs_run`; KeyUsed; SessionNotFound; SessionBusy if they are
        meant for another `agent` ("key/name"; "key/" for any of the team) than the one that will come to them: the
        agent at work, or the one that ran last.
        """
        session_id = new[0].session_id
        with self._database.writing() as connection:
            find_session(connection, session_id, lock=True)
            running = _live(connection, session_id)
            if needs_run and not running:
                raise NotRunning()
            if agent is not None:
                _refuse_other_agent(connection, session_id, agent)
            if _depth(connection, session_id, new[0].kind) + len(new) > CAPACITY:
                raise QueueFull()
            first = self._next_number(connection, session_id)
            for index, message in enumerate(new):
                connection.execute(insert(queued_messages).values(_row(message, first + index)))
            if key is not None:
                use_key(connection, key, session_id=session_id)
            note(connection, new[0].kind, session_id, detail=" ".join(message.id for message in new))
            self._database.notify(connection, session_id)
            return running

    def take(
        self, baton: Baton, session_id: str, *, kinds: Sequence[tuple[QueueKind, int]]
    ) -> list[tuple[QueuedMessage, Message]]:
        """Moves waiting messages into the transcript, at most so many of each kind; in the order they came.

        Repeating it with the same baton gives what it gave the first time. BatonLost.
        """
        with self._database.writing() as connection:
            try:
                self._fence.check(connection, baton)
            except WrittenAlready:
                return _taken(connection, baton, session_id)
            chosen: list[Row[Any]] = []
            for kind, limit in kinds:
                # Locked, so that nobody changes or withdraws them before they are in the transcript.
                waiting = _waiting(session_id, kind).limit(limit).with_for_update(key_share=True)
                chosen += connection.execute(waiting).all()
            chosen.sort(key=lambda row: int(row.number))
            taken = [
                Message("user", tuple(orjson.loads(row.content_json)), created_at=row.created_at)
                for row in chosen
            ]
            position = append_messages(connection, session_id, taken, baton.run_id)
            for index, row in enumerate(chosen):
                here = update(queued_messages).where(queued_messages.c.id == row.id)
                connection.execute(
                    here.values(taken_by=baton.run_id, taken_in=baton.write, position=position + index)
                )
            return _taken(connection, baton, session_id)

    def waiting(self, session_id: str) -> list[QueuedMessage]:
        with self._database.glance() as connection:
            return [_message(row) for row in _ALL_WAITING.all(connection, {"session_id": session_id})]

    def depths(self) -> dict[str, int]:
        """How many messages wait, of all sessions, by kind."""
        depth = select(queued_messages.c.kind, func.count()).where(queued_messages.c.taken_by.is_(None))
        with self._database.reading() as connection:
            counted: dict[str, int] = {"steer": 0, "followup": 0}
            for kind, count in connection.execute(depth.group_by(queued_messages.c.kind)):
                counted[kind] = count
            return counted

    def stranded(self) -> list[str]:
        """The sessions whose follow-ups no run takes. Either the last run finished, and its process died, or was full,
        before it could begin with them; or the last run's lease has run out, so that a claim may take the session,
        even if a sweep leaves the run alone. Follow-ups of the last few seconds are left to the process that stored
        them."""
        waiting = select(queued_messages.c.session_id).where(
            queued_messages.c.taken_by.is_(None),
            queued_messages.c.kind == "followup",
            queued_messages.c.created_at < now() - STRANDED_SECONDS,
        )
        with self._database.reading() as connection:
            found = connection.execute(waiting.distinct()).scalars().all()
            return [session_id for session_id in found if _is_claimable(connection, session_id)]

    def edit(self, session_id: str, message_id: str, content: Sequence[Any]) -> QueuedMessage:
        """QueuedMessageNotFound, TakenAlready."""
        with self._database.writing() as connection:
            row = _still_waiting(connection, session_id, message_id)
            here = update(queued_messages).where(queued_messages.c.id == message_id)
            connection.execute(here.values(content_json=dump(content)))
            note(connection, "edit_queued", session_id, detail=message_id)
            return replace(_message(row), content=tuple(content))

    def withdraw(self, session_id: str, message_id: str) -> None:
        """QueuedMessageNotFound, TakenAlready."""
        with self._database.writing() as connection:
            _still_waiting(connection, session_id, message_id)
            connection.execute(delete(queued_messages).where(queued_messages.c.id == message_id))
            note(connection, "withdraw_queued", session_id, detail=message_id)

    def prune(self) -> int:
        """Drops messages that were taken by runs which ended a day ago; their words are in the transcript. Returns
        how many."""
        run = runs.c.id == queued_messages.c.taken_by
        still_wanted = exists().where(
            run, or_(runs.c.ended_at.is_(None), runs.c.ended_at >= ago(KEEP_TAKEN_SECONDS))
        )
        taken = queued_messages.c.taken_by.is_not(None)
        old = taken & (queued_messages.c.created_at < ago(KEEP_TAKEN_SECONDS))
        return drop(self._database, queued_messages, old & ~still_wanted)

    def _next_number(self, connection: Connection, session_id: str) -> int:
        query = select(func.max(queued_messages.c.number)).where(queued_messages.c.session_id == session_id)
        return (connection.execute(query).scalar() or 0) + 1


def _live(connection: Connection, session_id: str) -> bool:
    query = select(runs.c.id).where(runs.c.session_id == session_id, IS_LIVE)
    return connection.execute(query).first() is not None


def _is_claimable(connection: Connection, session_id: str) -> bool:
    """Did the last run finish, or has it stopped renewing its lease?"""
    expired = (runs.c.status == "running") & (runs.c.lease_expires_at < now())
    query = select(or_(runs.c.status == "finished", expired)).where(runs.c.session_id == session_id)
    last = connection.execute(query.order_by(runs.c.started_at.desc(), runs.c.id).limit(1)).first()
    return last is not None and bool(last[0])


def _last_run(connection: Connection, session_id: str) -> Row[Any] | None:
    query = select(runs).where(runs.c.session_id == session_id)
    return connection.execute(query.order_by(runs.c.started_at.desc(), runs.c.id).limit(1)).first()


def _refuse_other_agent(connection: Connection, session_id: str, wanted: str) -> None:
    last = _last_run(connection, session_id)
    at_work = str(last.agent) if last is not None else ""
    if at_work == wanted or (wanted.endswith("/") and at_work.startswith(wanted)):
        return
    run = run_of(last) if last is not None else None
    raise SessionBusy(
        f"The queue of this session is worked off by {at_work or 'no agent yet'}, not by {wanted.rstrip('/')}; "
        "try again when the session is free.",
        run=run if run is not None and run.live else None,
        busy_code=run.busy_code if run is not None else "session_busy",
    )


def _waiting(session_id: str, kind: QueueKind | None = None) -> Any:
    query = select(queued_messages).where(
        queued_messages.c.session_id == session_id, queued_messages.c.taken_by.is_(None)
    )
    if kind is not None:
        query = query.where(queued_messages.c.kind == kind)
    return query.order_by(queued_messages.c.number)


def _depth(connection: Connection, session_id: str, kind: QueueKind) -> int:
    query = _waiting(session_id, kind).with_only_columns(func.count()).order_by(None)
    return int(connection.execute(query).scalar_one())


def _taken(connection: Connection, baton: Baton, session_id: str) -> list[tuple[QueuedMessage, Message]]:
    query = select(queued_messages).where(
        queued_messages.c.session_id == session_id,
        queued_messages.c.taken_by == baton.run_id,
        queued_messages.c.taken_in == baton.write,
    )
    rows = connection.execute(query.order_by(queued_messages.c.number)).all()
    return [
        (
            queued := _message(row),
            Message("user", queued.content, created_at=row.created_at, position=row.position),
        )
        for row in rows
    ]


def _still_waiting(connection: Connection, session_id: str, message_id: str) -> Row[Any]:
    query = select(queued_messages).where(
        queued_messages.c.id == message_id, queued_messages.c.session_id == session_id
    )
    row = connection.execute(query.with_for_update(key_share=True)).first()
    if row is None:
        raise QueuedMessageNotFound()
    if row.taken_by is not None:
        raise TakenAlready(position=row.position)
    return row


def _row(message: QueuedMessage, number: int) -> dict[str, Any]:
    return {
        "id": message.id,
        "session_id": message.session_id,
        "number": number,
        "kind": message.kind,
        "content_json": dump(message.content),
        "created_at": message.created_at,
        "created_by": message.created_by,
    }


def _message(row: Row[Any]) -> QueuedMessage:
    return QueuedMessage(
        id=row.id,
        session_id=row.session_id,
        kind=row.kind,
        content=tuple(orjson.loads(row.content_json)),
        created_at=row.created_at,
        created_by=row.created_by,
    )
