"""Messages that wait for a run. An accepted message is a row; it enters a transcript exactly once, or is still here."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Integer, bindparam, delete, exists, func, insert, or_, select, update

from app.conversation.framing import framed_as
from app.conversation.queued_message import CAPACITY, QueuedMessage, QueueKind
from app.conversation.run import Baton
from app.conversation.transcript import Message
from app.errors import NotRunning, QueuedMessageNotFound, QueueFull, SessionBusy, TakenAlready
from app.store.audit_notes import note
from app.store.clock import ago, now
from app.store.engine import Database
from app.store.fence import Fence, WrittenAlready
from app.store.idempotency import KeyUse, use_key
from app.store.managed_tables import managed_sessions
from app.store.prepared_statements import Prepared, Values
from app.store.pruning import drop
from app.store.queue_rows import is_worth_a_try, waits_anew
from app.store.row_mapping import Row, dump, run_of
from app.store.run_rows import live_run_row
from app.store.session_rows import append_messages, find_session
from app.store.tables import queued_messages, runs
from app.store.told_events import tell

STRANDED_SECONDS: Final = 3.0
KEEP_TAKEN_SECONDS: Final = 86_400.0

_in_session: Final = queued_messages.c.session_id == bindparam("session_id")
_waiting: Final = _in_session & queued_messages.c.taken_by.is_(None)
_of_kind: Final = _waiting & (queued_messages.c.kind == bindparam("wanted"))
_one: Final = queued_messages.c.id == bindparam("message_id")
_ALL_WAITING: Final = Prepared(select(queued_messages).where(_waiting).order_by(queued_messages.c.number))
_FIRST_WAITING: Final = Prepared(
    select(queued_messages)
    .where(_of_kind)
    .order_by(queued_messages.c.number)
    .limit(bindparam("most", type_=Integer))
    .with_for_update(key_share=True)
)
"""Locked, so that nobody changes or withdraws them before they are in the transcript."""

_DEPTH: Final = Prepared(select(func.count()).where(_of_kind))
_LAST_NUMBER: Final = Prepared(select(func.max(queued_messages.c.number)).where(_in_session))
_ADD: Final = Prepared(
    insert(queued_messages),
    columns=["id", "session_id", "number", "kind", "content_json", "created_at", "created_by"],
)
_TAKE: Final = Prepared(update(queued_messages).where(_one), columns=["taken_by", "taken_in", "position"])
_TAKEN: Final = Prepared(
    select(queued_messages)
    .where(
        _in_session,
        queued_messages.c.taken_by == bindparam("run_id"),
        queued_messages.c.taken_in == bindparam("write"),
    )
    .order_by(queued_messages.c.number)
)
_LOCKED: Final = Prepared(select(queued_messages).where(_one, _in_session).with_for_update(key_share=True))
_EDIT: Final = Prepared(update(queued_messages).where(_one), columns=["content_json"])
_WITHDRAW: Final = Prepared(delete(queued_messages).where(_one))
_DROP_WAITING: Final = Prepared(delete(queued_messages).where(_waiting))
_LAST_RUN: Final = Prepared(
    select(runs)
    .where(runs.c.session_id == bindparam("session_id"))
    .order_by(runs.c.started_at.desc(), runs.c.id)
    .limit(1)
)

_MANAGED: Final = select(managed_sessions.c.session_id).where(
    managed_sessions.c.session_id == bindparam("of_session")
)


class QueueStore:
    def __init__(self, database: Database, fence: Fence) -> None:
        self._database = database
        self._fence = fence
        self._counter = itertools.count(1)
        self.additions = 0
        """How often this process has stored messages: the same number, and nobody was told that one waits."""

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
            running = live_run_row(connection, session_id) is not None
            if needs_run and not running:
                raise NotRunning()
            if agent is not None:
                _refuse_other_agent(connection, session_id, agent)
            add_waiting(connection, new)
            if key is not None:
                use_key(connection, key, session_id=session_id)
            note(connection, new[0].kind, session_id, detail=" ".join(message.id for message in new))
            self._database.notify(connection, session_id)
        self.count_addition()
        return running

    def count_addition(self) -> None:
        """There is something new for a run of this process to look at."""
        self.additions = next(self._counter)

    def take(
        self,
        baton: Baton,
        session_id: str,
        *,
        kinds: Sequence[tuple[QueueKind, int]],
        told: Callable[[Sequence[QueuedMessage]], Sequence[Values]] | None = None,
    ) -> list[tuple[QueuedMessage, Message]]:
        """Moves waiting messages into the transcript, at most so many of each kind; in the order they came. `told`
        makes the rows of the events that tell of them.

        Repeating it with the same baton gives what it gave the first time. BatonLost.
        """
        with self._database.writing() as connection:
            try:
                self._fence.check(connection, baton)
            except WrittenAlready:
                return _taken(connection, baton, session_id)
            chosen: list[Row] = []
            for kind, limit in kinds:
                wanted = {"session_id": session_id, "wanted": kind, "most": limit}
                chosen += _FIRST_WAITING.all(connection, wanted)
            chosen.sort(key=lambda row: int(row.number))
            taken = [
                Message("user", tuple(orjson.loads(row.content_json)), created_at=row.created_at, id=row.id)
                for row in chosen
            ]
            position = append_messages(connection, session_id, taken, baton.run_id)
            for index, row in enumerate(chosen):
                values = {"taken_by": baton.run_id, "taken_in": baton.write, "position": position + index}
                _TAKE.run(connection, {"message_id": row.id, **values})
            if told is not None:
                tell(connection, told([_message(row) for row in chosen]))
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
        them. Clients of the Managed Agents API queue all that they say, so there any message is begun with that has no
        run, however the last one ended."""
        waiting = select(queued_messages.c.session_id, queued_messages.c.kind).where(
            queued_messages.c.taken_by.is_(None),
            queued_messages.c.created_at < now() - STRANDED_SECONDS,
        )
        with self._database.reading() as connection:
            found: dict[str, set[str]] = {}
            for row in connection.execute(waiting.distinct()):
                found.setdefault(row.session_id, set()).add(row.kind)
            return [one for one, kinds in found.items() if _is_stranded(connection, one, kinds)]

    def edit(self, session_id: str, message_id: str, content: Sequence[Any]) -> QueuedMessage:
        """QueuedMessageNotFound, TakenAlready."""
        with self._database.writing() as connection:
            before = _message(_still_waiting(connection, session_id, message_id))
            after = replace(before, content=framed_as(content, before.content))
            _EDIT.run(connection, {"message_id": message_id, "content_json": dump(after.content)})
            note(connection, "edit_queued", session_id, detail=message_id)
            return after

    def withdraw(self, session_id: str, message_id: str) -> None:
        """QueuedMessageNotFound, TakenAlready."""
        with self._database.writing() as connection:
            _still_waiting(connection, session_id, message_id)
            _WITHDRAW.run(connection, {"message_id": message_id})
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


def add_waiting(connection: Connection, new: Sequence[QueuedMessage]) -> None:
    """Adds messages of one session and kind, whose row is locked. QueueFull."""
    session_id = new[0].session_id
    if _depth(connection, session_id, new[0].kind) + len(new) > CAPACITY:
        raise QueueFull()
    first = (_LAST_NUMBER.scalar(connection, {"session_id": session_id}) or 0) + 1
    _ADD.insert_all(connection, [_row(message, first + index) for index, message in enumerate(new)])


def drop_waiting(connection: Connection, session_id: str) -> None:
    """Drops what no run has come to, of a session whose row is locked."""
    _DROP_WAITING.run(connection, {"session_id": session_id})


def _is_stranded(connection: Connection, session_id: str, kinds: Collection[str]) -> bool:
    """Did the last run finish, or has it stopped renewing its lease?"""
    managed = connection.execute(_MANAGED, {"of_session": session_id}).first() is not None
    if not managed and "followup" not in kinds:
        return False
    expired = (runs.c.status == "running") & (runs.c.lease_expires_at < now())
    ended = runs.c.ended_at.is_not(None) if managed else runs.c.status == "finished"
    query = select(runs.c.id, runs.c.status, or_(ended, expired)).where(runs.c.session_id == session_id)
    last = connection.execute(query.order_by(runs.c.started_at.desc(), runs.c.id).limit(1)).first()
    if last is None:
        return managed
    if managed and last.status in ("failed", "cancelled"):
        return waits_anew(connection, session_id, last.id)
    return bool(last[2]) and (last.status == "finished" or is_worth_a_try(connection, session_id))


def _refuse_other_agent(connection: Connection, session_id: str, wanted: str) -> None:
    last = _LAST_RUN.first(connection, {"session_id": session_id})
    at_work = str(last.agent) if last is not None else ""
    if at_work == wanted or (wanted.endswith("/") and at_work.startswith(wanted)):
        return
    run = run_of(last) if last is not None else None
    raise SessionBusy(
        f"The queue of this session is worked off by {at_work or 'no agent yet'}, not by {wanted.rstrip('/')}; "
        "try again when the session is free.",
        run=run if run is not None and run.live else None,
    )


def _depth(connection: Connection, session_id: str, kind: QueueKind) -> int:
    return int(_DEPTH.scalar(connection, {"session_id": session_id, "wanted": kind}))


def _taken(connection: Connection, baton: Baton, session_id: str) -> list[tuple[QueuedMessage, Message]]:
    here = {"session_id": session_id, "run_id": baton.run_id, "write": baton.write}
    rows = _TAKEN.all(connection, here)
    return [
        (
            queued := _message(row),
            Message("user", queued.content, created_at=row.created_at, position=row.position, id=row.id),
        )
        for row in rows
    ]


def _still_waiting(connection: Connection, session_id: str, message_id: str) -> Row:
    row = _LOCKED.first(connection, {"session_id": session_id, "message_id": message_id})
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


def _message(row: Row) -> QueuedMessage:
    return QueuedMessage(
        id=row.id,
        session_id=row.session_id,
        kind=row.kind,
        content=tuple(orjson.loads(row.content_json)),
        created_at=row.created_at,
        created_by=row.created_by,
    )
