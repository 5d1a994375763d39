"""The requests that wait for a session, over all processes: one row for each."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

from sqlalchemy import bindparam, delete, insert, select, update

from app.errors import StoreUnavailable
from app.store.clock import ago, now
from app.store.engine import Database
from app.store.prepared_statements import Prepared
from app.store.pruning import drop
from app.store.session_rows import find_session
from app.store.tables import waiting_requests

FORGOTTEN_SECONDS: Final = 3.0
"""A request that has not shown itself for so long does not stand in line any more: its process died."""

_ENTER: Final = Prepared(
    insert(waiting_requests).values(since=now(), seen_at=now()), columns=["id", "session_id", "process"]
)
_LEAVE: Final = Prepared(delete(waiting_requests).where(waiting_requests.c.id == bindparam("place")))
_of_session: Final = waiting_requests.c.session_id == bindparam("here")
_STILL_THERE: Final = Prepared(
    update(waiting_requests)
    .where(_of_session, waiting_requests.c.process == bindparam("mine"))
    .values(seen_at=now())
)
_FIRST: Final = Prepared(
    select(waiting_requests.c.process)
    .where(_of_session, waiting_requests.c.seen_at >= ago(FORGOTTEN_SECONDS))
    .order_by(waiting_requests.c.since, waiting_requests.c.id)
    .limit(1)
)


class WaitingLineStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def place(self, session_id: str, process: str) -> Iterator[Callable[[], None]]:
        """At the end of the session's line, until the block ends or what it is given is called. SessionNotFound."""
        place = uuid.uuid4().hex
        values = {"id": place, "session_id": session_id, "process": process}
        with self._database.writing() as connection:
            find_session(connection, session_id)
            _ENTER.run(connection, values)
        try:
            yield partial(self._leave, place)
        finally:
            self._leave(place)

    def _leave(self, place: str) -> None:
        try:
            with self._database.writing() as connection:
                _LEAVE.run(connection, {"place": place})
        except StoreUnavailable:
            pass  # it will be forgotten

    def prune(self) -> int:
        """Deletes the places of forgotten requests. Returns how many."""
        return drop(self._database, waiting_requests, waiting_requests.c.seen_at < ago(FORGOTTEN_SECONDS))

    def still_there(self, session_id: str, process: str) -> None:
        """Shows that this process's requests still wait."""
        with self._database.writing() as connection:
            _STILL_THERE.run(connection, {"here": session_id, "mine": process})

    def turn_of(self, session_id: str) -> str | None:
        """The process whose request has waited longest; None if nobody waits."""
        with self._database.glance() as connection:
            process: str | None = _FIRST.scalar(connection, {"here": session_id})
            return process
