"""Sessions of the Managed Agents API: what it knows of a session beside what every session has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Select, bindparam, exists, false, func, insert, select, tuple_, update

from app.conversation.managed_events import is_self_hosted
from app.conversation.queued_message import QueuedMessage
from app.conversation.session import Session
from app.conversation.transcript import Message
from app.errors import InvalidRequest, NotFound
from app.store.audit_notes import note
from app.store.clock import now
from app.store.engine import Database
from app.store.fence import Fence
from app.store.idempotency import KeyUse, use_key
from app.store.job_store import want
from app.store.key_pages import ANY_TIME, Place, Times
from app.store.managed_rows import IS_RESCHEDULED, RESUME, Sent, is_managed, locked_run
from app.store.managed_tables import managed_sessions, told_events
from app.store.memory_mounts import add_mounts, has_store
from app.store.outbox import announce_session
from app.store.prepared_statements import Prepared, Values
from app.store.queue_store import add_waiting, drop_waiting
from app.store.queued_work import QUEUE_WORK, new_work
from app.store.resource_store import NewResource, add_resources, forget_tokens
from app.store.row_mapping import dump, load_optional, session_of
from app.store.run_end import ask_to_stop
from app.store.run_rows import live_run_row
from app.store.session_rows import add_session, append_messages, find_session
from app.store.skill_store import keep_skills
from app.store.tables import IS_LIVE, runs, sessions
from app.store.told_ends import tell_given_up
from app.store.told_events import QUEUED, Told, place, stored, tell, told_row
from app.store.work_rows import stop_with_session

Json = dict[str, Any]

_SETTINGS = Prepared(
    select(managed_sessions.c.settings_json, managed_sessions.c.updated_at).where(
        managed_sessions.c.session_id == bindparam("of_session")
    )
)


@dataclass(frozen=True, slots=True)
class ManagedSession:
    """`settings` has the agent that was frozen into the session, its metadata, resources, vaults and budget. `at_work`:
    a run works on it, and waits for nobody; `is_rescheduled`: to ask its model again. `usage` is the body of its newest
    `session.usage`; `cost` is what its model calls have cost, those of its threads included, in dollars. Times are
    seconds since the epoch, by the database's clock; `read_at` is when this was so."""

    session: Session
    settings: Json
    environment_id: str
    created_at: float
    updated_at: float
    archived_at: float | None
    at_work: bool
    usage: Json | None = field(compare=False)
    cost: float = field(compare=False)
    is_rescheduled: bool = field(compare=False)
    read_at: float = field(compare=False)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which sessions are listed, and from where on. `backward`: the page before `after`."""

    limit: int
    agent_id: str | None = None
    agent_version: int | None = None
    statuses: Sequence[str] = ()
    archived: bool = False
    ascending: bool = False
    after: Place | None = None
    backward: bool = False
    memory_store_id: str | None = None
    made: Times = ANY_TIME


class ManagedSessions:
    """`owner` narrows a call to one token's sessions; None means that the caller may see them all."""

    def __init__(self, database: Database, fence: Fence, count_addition: Callable[[], None]) -> None:
        """`count_addition` is called when messages wait in a queue."""
        self._database = database
        self._fence = fence
        self._count_addition = count_addition

    def create(
        self,
        session: Session,
        *,
        agent_id: str,
        agent_version: int,
        environment_id: str,
        settings: Json,
        messages: Sequence[QueuedMessage] = (),
        events: Sequence[Values] = (),
        resources: Sequence[NewResource] = (),
        skills: Sequence[str] = (),
    ) -> ManagedSession:
        """With its `resources`, and the first `messages`, which wait for a run, and the `events` that tell of them;
        `skills` are the versions that it has. InvalidRequest for one that was deleted meanwhile."""
        with self._database.writing() as connection:
            add_session(connection, session)
            made = session_of(find_session(connection, session.id))
            connection.execute(
                insert(managed_sessions).values(
                    session_id=session.id,
                    created_at=made.created_at,
                    updated_at=made.created_at,
                    agent_id=agent_id,
                    agent_version=agent_version,
                    environment_id=environment_id,
                    settings_json=dump(settings),
                )
            )
            add_resources(connection, session.id, resources)
            keep_skills(connection, session.id, skills)
            kept = settings.get("memory_stores", ())
            add_mounts(connection, session.id, (one["memory_store_id"] for one in kept))
            if messages:
                add_waiting(connection, messages)
                if is_self_hosted(settings):
                    QUEUE_WORK.run(connection, new_work(session.id, environment_id, at=made.created_at))
            tell(connection, events)
            note(connection, "create", session.id)
            announce_session(connection, "session.created", session.id)
            found = _find(connection, session.id, None)
        if messages:
            self._count_addition()
        return found

    def take_in(
        self, session_id: str, *, agent_id: str, agent_version: int, environment_id: str, settings: Json
    ) -> None:
        """Makes a session of Baton's own door one of this API, too; one that is stays as it is. Its clients are not
        told of a run that has it now."""
        with self._database.writing() as connection:
            found = find_session(connection, session_id, lock=True)
            if is_managed(connection, session_id):
                return
            values = {
                "agent_id": agent_id,
                "agent_version": agent_version,
                "environment_id": environment_id,
                "settings_json": dump(settings),
            }
            times = {"created_at": session_of(found).created_at, "updated_at": now()}
            connection.execute(insert(managed_sessions).values(session_id=session_id, **times, **values))

    def get(self, session_id: str, *, owner: str | None) -> ManagedSession:
        """NotFound also for a session that no client of this API has made."""
        with self._database.reading() as connection:
            return _find(connection, session_id, owner)

    def settings(self, session_id: str) -> tuple[Json, float] | None:
        """The settings, and when they were changed last; None if it is not a session of this API."""
        with self._database.glance() as connection:
            row = _SETTINGS.first(connection, {"of_session": session_id})
        return None if row is None else (orjson.loads(row.settings_json), float(row.updated_at))

    def page(self, wanted: Filter, *, owner: str | None) -> list[ManagedSession]:
        """In the order that is wanted, also if it is the page before; with one more than the limit."""
        query = _select(owner)
        made, key = (
            managed_sessions.c.created_at,
            tuple_(managed_sessions.c.created_at, managed_sessions.c.session_id),
        )
        rising = wanted.ascending != wanted.backward
        if wanted.after is not None:
            query = query.where(key > tuple_(*wanted.after) if rising else key < tuple_(*wanted.after))
        if wanted.agent_id is not None:
            query = query.where(managed_sessions.c.agent_id == wanted.agent_id)
        if wanted.agent_version is not None:
            query = query.where(managed_sessions.c.agent_version == wanted.agent_version)
        if wanted.memory_store_id is not None:
            query = query.where(has_store(managed_sessions.c.session_id, wanted.memory_store_id))
        if not wanted.archived:
            query = query.where(managed_sessions.c.archived_at.is_(None))
        query = wanted.made.narrow(query, made)
        if wanted.statuses:
            query = query.where(_has_status(wanted.statuses))
        order = (made, managed_sessions.c.session_id)
        query = query.order_by(*(order if rising else (one.desc() for one in order))).limit(wanted.limit + 1)
        with self._database.reading() as connection:
            return [_managed(row) for row in connection.execute(query)]

    def change(
        self,
        session_id: str,
        change: Callable[[ManagedSession], ManagedSession],
        tell_of: Callable[[ManagedSession, ManagedSession], Sequence[Json]],
        *,
        owner: str | None,
    ) -> ManagedSession:
        """Stores a changed title, budget and settings, with the events that tell of it: rows without a number while a
        run is at work, which will come to them."""
        with self._database.writing() as connection:
            find_session(connection, session_id, lock=True)
            before = _find(connection, session_id, owner)
            after = change(before)
            if after == before:
                return before
            values = {"settings_json": dump(after.settings), "updated_at": now()}
            connection.execute(
                update(managed_sessions).where(managed_sessions.c.session_id == session_id).values(values)
            )
            own = update(sessions).where(sessions.c.id == session_id)
            connection.execute(own.values(title=after.session.title, budget=after.session.budget))
            if after.settings.get("budget") != before.settings.get("budget"):
                want(connection, f"{RESUME}{session_id}")
            rows = list(tell_of(before, after))
            if live_run_row(connection, session_id) is None:
                place(connection, session_id, rows)
            tell(connection, rows)
            self._database.notify(connection, session_id)
            changed = _find(connection, session_id, owner)
        self._count_addition()
        return changed

    def archive(self, session_id: str, *, by: str, owner: str | None, refusal: str) -> ManagedSession:
        """Stops a run that waits, and drops the messages that no run has come to. InvalidRequest with those words while
        a run works on it. Archived again, it stays as it is."""
        with self._database.writing() as connection:
            run = locked_run(connection, session_id)
            before = _find(connection, session_id, owner)
            if before.at_work:
                raise InvalidRequest(refusal)
            drop_waiting(connection, session_id)
            if run is None:
                tell_given_up(connection, session_id)
            if run is not None and ask_to_stop(connection, self._fence, run, by):
                self._database.notify(connection, session_id)
            archived = connection.execute(
                update(managed_sessions)
                .where(managed_sessions.c.session_id == session_id, managed_sessions.c.archived_at.is_(None))
                .values(archived_at=now(), updated_at=now())
            )
            stop_with_session(connection, session_id)
            forget_tokens(connection, session_id)
            if archived.rowcount:
                announce_session(connection, "session.archived", session_id)
            note(connection, "archive", session_id)
            return _find(connection, session_id, owner)

    def send(
        self,
        session_id: str,
        messages: Sequence[QueuedMessage],
        events: Sequence[Json],
        check: Callable[[ManagedSession], None],
        *,
        owner: str | None,
        stopped_by: str | None = None,
        context: Sequence[Message] = (),
        key: Callable[[Sequence[Told]], KeyUse | None] = lambda _: None,
        fence: Callable[[Connection], None] = lambda _: None,
    ) -> Sent:
        """Stores messages that wait for a run, and the events by which they were sent; all or nothing. An event that is
        there already stays as it is. `check` may refuse. `context` are rows that no answer is due to; the session has
        no run then, and the events tell of them. The session's run is asked to stop if somebody has `stopped_by`.
        `key` is how the request uses its key, with these events as its answer. `fence` keeps the right to send, or
        raises. QueueFull, NotFound, KeyUsed."""
        with self._database.writing() as connection:
            run = locked_run(connection, session_id)
            fence(connection)
            check(_find(connection, session_id, owner))
            live = live_run_row(connection, session_id) is not None
            known = stored(connection, session_id, [row["id"] for row in events])
            rows = {row["id"]: row for row in reversed(events)}  # the first one of an id
            new = [row for row in events if row["id"] not in known and rows[row["id"]] is row]
            if messages:
                add_waiting(connection, messages)
                note(connection, "steer", session_id, detail=" ".join(message.id for message in messages))
            if not live:
                append_messages(connection, session_id, context, None)
                queued = () if context else QUEUED
                place(connection, session_id, [row for row in new if row["type"] not in queued])
            tell(connection, new)
            if stopped_by is not None and run is not None:
                live = ask_to_stop(connection, self._fence, run, stopped_by)
            sent = Sent(live, [known.get(row["id"]) or told_row(rows[row["id"]]) for row in events])
            if (use := key(sent.events)) is not None:
                use_key(connection, use, session_id=session_id)
            self._database.notify(connection, session_id)
        self._count_addition()
        return sent


_USAGE: Final = (
    select(told_events.c.body_json)
    .where(
        told_events.c.session_id == managed_sessions.c.session_id,
        told_events.c.type == "session.usage",
        told_events.c.number.is_not(None),
    )
    .order_by(told_events.c.number.desc())
    .limit(1)
    .correlate(managed_sessions)
    .scalar_subquery()
)
_thread: Final = sessions.alias("thread")
_COST_BELOW: Final = (
    select(func.coalesce(func.sum(_thread.c.cost), 0.0))
    .where(_thread.c.parent_id == managed_sessions.c.session_id)
    .correlate(managed_sessions)
    .scalar_subquery()
)
_WORKS: Final = exists().where(
    runs.c.session_id == managed_sessions.c.session_id, IS_LIVE, runs.c.status == "running"
)


def _select(owner: str | None) -> Select[Any]:
    joined = managed_sessions.join(sessions, sessions.c.id == managed_sessions.c.session_id)
    own = [column for column in managed_sessions.c if column.key not in ("session_id", "created_at")]
    told = (
        _WORKS.label("at_work"),
        IS_RESCHEDULED.label("is_rescheduled"),
        _USAGE.label("usage_json"),
        _COST_BELOW.label("cost_below"),
        now().label("read_at"),
    )
    query = select(sessions, *own, *told).select_from(joined)
    return query if owner is None else query.where(sessions.c.owner == owner)


def _has_status(statuses: Sequence[str]) -> Any:
    ended = managed_sessions.c.archived_at.is_not(None)
    conditions = {
        "running": _WORKS & ~func.coalesce(IS_RESCHEDULED, false()) & ~ended,
        "rescheduling": _WORKS & IS_RESCHEDULED & ~ended,
        "terminated": ended,
        "idle": ~_WORKS & ~ended,
    }
    found = [conditions[status] for status in statuses if status in conditions]
    condition: Any = found[0] if found else ended & ~ended
    for one in found[1:]:
        condition |= one
    return condition


def _find(connection: Connection, session_id: str, owner: str | None) -> ManagedSession:
    query = _select(owner).where(managed_sessions.c.session_id == session_id)
    if (row := connection.execute(query).first()) is None:
        raise NotFound("Session not found.")
    return _managed(row)


def _managed(row: Any) -> ManagedSession:
    return ManagedSession(
        session=session_of(row),
        settings=orjson.loads(row.settings_json),
        environment_id=row.environment_id,
        created_at=row.created_at,
        updated_at=row.updated_at,
        archived_at=row.archived_at,
        at_work=bool(row.at_work) and row.archived_at is None,
        usage=load_optional(row.usage_json),
        cost=row.cost + row.cost_below,
        is_rescheduled=bool(row.is_rescheduled),
        read_at=row.read_at,
    )
