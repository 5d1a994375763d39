"""The queue of work for workers of self-hosted environments.

A worker has an item under a lease, which begins when it acknowledges the item and which its heartbeats renew, and it
has a token of its own for the item. The fence of what it writes is the token's digest: another claim puts another one
in its place, and a lease that has run out by the database's clock is not renewed any more, whoever notices it first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, delete, func, insert, or_, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from app.errors import Conflict, LeaseLost, Unauthorized
from app.store.clock import ago, now
from app.store.columns import one_of
from app.store.engine import Database
from app.store.key_pages import Place
from app.store.managed_tables import work_items, work_polls
from app.store.queued_work import LEASE_SECONDS
from app.store.row_mapping import dump
from app.store.tables import sessions
from app.store.work_rows import WorkItem, found, is_leased, locked, work_item

Json = dict[str, Any]

POLLING_SECONDS: Final = 30.0
"""A worker that has asked for work so lately counts as one that is there."""
NOTE_SECONDS: Final = 10.0
"""How often that is written down."""


@dataclass(frozen=True, slots=True)
class Stats:
    """`waiting` items can be taken; `claimed` ones were, and are not acknowledged."""

    waiting: int
    claimed: int
    oldest: float | None
    workers: int


@dataclass(frozen=True, slots=True)
class TokenHolder:
    """The holder of an item's token. `holds`: its lease has not run out."""

    item_id: str
    session_id: str
    environment_id: str
    owner: str
    holds: bool


class WorkStore:
    """Any thread may call it. Digests are those of items' tokens, in hexadecimal digits; None where a caller shows
    another token, which no lease fences."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, environment_id: str, item_id: str) -> WorkItem:
        with self._database.reading() as connection:
            return found(connection, item_id, environment_id)

    def page(self, environment_id: str, *, limit: int, after: Place | None) -> Sequence[WorkItem]:
        """Newest first, with one more than the limit."""
        place = tuple_(work_items.c.created_at, work_items.c.id)
        query = select(work_items, is_leased().label("leased")).where(
            work_items.c.environment_id == environment_id
        )
        if after is not None:
            query = query.where(place < tuple_(*after))
        order = (work_items.c.created_at.desc(), work_items.c.id.desc())
        with self._database.reading() as connection:
            return [work_item(row) for row in connection.execute(query.order_by(*order).limit(limit + 1))]

    def stats(self, environment_id: str) -> Stats:
        queued = (work_items.c.environment_id == environment_id) & (one_of(work_items.c.state, ("queued",)))
        counts = select(
            func.count(), func.count(work_items.c.claimed_at), func.min(work_items.c.queued_at)
        ).where(queued)
        workers = select(func.count()).where(
            work_polls.c.environment_id == environment_id, work_polls.c.polled_at > ago(POLLING_SECONDS)
        )
        with self._database.reading() as connection:
            every, claimed, oldest = connection.execute(counts).one()
            return Stats(every - claimed, claimed, oldest, connection.execute(workers).scalar_one())

    def note_poll(self, environment_id: str, worker: str) -> None:
        key = {"environment_id": environment_id, "worker": worker}
        mine = (work_polls.c.environment_id == environment_id) & (work_polls.c.worker == worker)
        lately = select(work_polls.c.worker).where(mine, work_polls.c.polled_at > ago(NOTE_SECONDS))
        with self._database.reading() as connection:
            if connection.execute(lately).first() is not None:
                return
        old = delete(work_polls).where(
            work_polls.c.environment_id == environment_id, work_polls.c.polled_at < ago(POLLING_SECONDS)
        )
        with suppress(IntegrityError), self._database.writing_undurably() as connection:
            connection.execute(old)
            if not connection.execute(update(work_polls).where(mine).values(polled_at=now())).rowcount:
                connection.execute(insert(work_polls).values(polled_at=now(), **key))  # or another poll has

    def claim(
        self,
        environment_id: str,
        new_token: Callable[[str], str],
        digest_of: Callable[[str], str],
        *,
        reclaim_seconds: float,
    ) -> tuple[WorkItem, str] | None:
        """The item that waits longest, and the token for it that its worker gets; only the digest is kept. An item that
        was claimed so long ago, and not acknowledged, waits too."""
        free = or_(work_items.c.claimed_at.is_(None), work_items.c.claimed_at <= ago(reclaim_seconds))
        query = (
            select(work_items.c.id)
            .where(
                work_items.c.environment_id == environment_id, one_of(work_items.c.state, ("queued",)), free
            )
            .order_by(work_items.c.queued_at, work_items.c.id)
            .limit(1)
        )
        with self._database.reading() as connection:
            if connection.execute(query).first() is None:
                return None
        with self._database.writing() as connection:
            item_id = connection.execute(query.with_for_update(skip_locked=True)).scalar()
            if item_id is None:
                return None
            token = new_token(item_id)
            values = {"claimed_at": now(), "token_digest": digest_of(token)}
            values["former_digest"] = func.coalesce(work_items.c.token_digest, work_items.c.former_digest)
            connection.execute(update(work_items).where(work_items.c.id == item_id).values(values))
            return found(connection, item_id), token

    def acknowledge(self, environment_id: str, item_id: str, digest: str | None) -> WorkItem:
        """Begins the lease. Acknowledged again before the first heartbeat, it stays as it is. Conflict."""
        with self._database.writing() as connection:
            item = locked(connection, item_id, environment_id)
            if digest not in (None, item.token_digest):
                raise Conflict(f"Work {item_id} was given to another worker.")
            if item.state == "starting" and item.leased:
                return item
            if item.state != "queued" or item.token_digest is None:
                raise Conflict(f"Work {item_id} can't be acknowledged while its state is {item.state}.")
            values = {
                "state": "starting",
                "acknowledged_at": now(),
                "lease_expires_at": now() + LEASE_SECONDS,
                "ttl_seconds": LEASE_SECONDS,
            }
            return _changed(connection, item, values)

    def heartbeat(
        self,
        environment_id: str,
        item_id: str,
        digest: str | None,
        is_expected: Callable[[float | None], bool],
        *,
        seconds: int | None,
    ) -> tuple[WorkItem, bool]:
        """The item, and whether its lease was renewed, for so many seconds: not for one that is stopped. `is_expected`
        is asked about the last heartbeat, but for an item that stops. LeaseLost."""
        with self._database.writing() as connection:
            item = locked(connection, item_id, environment_id)
            if item.state == "stopped" and digest in (None, item.token_digest):
                return item, False
            is_right = item.state == "stopping" or is_expected(item.latest_heartbeat_at)
            if not item.leased or digest not in (None, item.token_digest) or not is_right:
                raise LeaseLost(f"The lease of work {item_id} is not this worker's.", item=item)
            ttl = seconds or item.ttl_seconds
            values = {
                "state": "active" if item.state == "starting" else item.state,
                "started_at": func.coalesce(work_items.c.started_at, now()),
                "latest_heartbeat_at": now(),
                "lease_expires_at": now() + ttl,
                "ttl_seconds": ttl,
            }
            return _changed(connection, item, values), True

    def stop(
        self, environment_id: str, item_id: str, digest: str | None, *, force: bool, given_up: bool
    ) -> WorkItem:
        """Asks the worker to stop; `force`, and where no worker has it, the item is stopped. `given_up`: by its worker.
        Conflict if it is stopped already, or its lease is lost."""
        with self._database.writing() as connection:
            item = locked(connection, item_id, environment_id)
            if item.state == "stopped":
                raise Conflict(f"Work {item_id} is stopped already.")
            if digest is not None and (digest != item.token_digest or not item.leased):
                raise Conflict(f"The lease of work {item_id} is not this worker's.")
            requested = func.coalesce(work_items.c.stop_requested_at, now())
            values: Json = {"state": "stopping", "stop_requested_at": requested}
            if force or item.state == "queued":
                values |= {"state": "stopped", "stopped_at": now(), "lease_expires_at": now()}
                values["given_up"] = given_up
            return _changed(connection, item, values)

    def change_metadata(self, environment_id: str, item_id: str, change: Callable[[Json], Json]) -> WorkItem:
        with self._database.writing() as connection:
            item = locked(connection, item_id, environment_id)
            return _changed(connection, item, {"metadata_json": dump(change(item.metadata))})

    def holder(self, item_id: str, digest: str) -> TokenHolder | None:
        """The holder of that token: the item's present one, or the one before."""
        query = (
            select(work_items, sessions.c.owner, is_leased().label("leased"))
            .join(sessions, sessions.c.id == work_items.c.session_id)
            .where(
                work_items.c.id == item_id,
                or_(work_items.c.token_digest == digest, work_items.c.former_digest == digest),
            )
        )
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        if row is None:
            return None
        holds = bool(row.leased) and row.token_digest == digest
        return TokenHolder(item_id, row.session_id, row.environment_id, row.owner, holds)

    def note_shown(self, item_id: str, digest: str, number: int) -> bool:
        """The worker is about to be shown the call that the event of that number tells of: from now on it can begin it.
        0 if it is shown the session, and no call. False if its lease is lost, and it must be shown nothing."""
        with self._database.reading() as connection:
            query = select(work_items.c.shown).where(_held(item_id, digest))
            row = connection.execute(query).first()
        if row is None or (row.shown is not None and row.shown >= number):
            return row is not None
        shown = update(work_items).where(_held(item_id, digest))
        with self._database.writing() as connection:
            return bool(connection.execute(shown.values(shown=number, attempts=0)).rowcount)

    def fence(self, item_id: str, digest: str) -> Callable[[Connection], None]:
        """A function that keeps the lease for the rest of a transaction. Unauthorized if it is lost."""

        def keep(connection: Connection) -> None:
            held = update(work_items).where(_held(item_id, digest)).values(id=work_items.c.id)
            if not connection.execute(held).rowcount:
                raise Unauthorized()

        return keep


def _held(item_id: str, digest: str) -> Any:
    return (work_items.c.id == item_id) & (work_items.c.token_digest == digest) & is_leased()


def _changed(connection: Connection, item: WorkItem, values: Json) -> WorkItem:
    connection.execute(update(work_items).where(work_items.c.id == item.id).values(values))
    return found(connection, item.id)
