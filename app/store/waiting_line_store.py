"""The requests that wait for a session, over all processes: one row for each."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import delete, insert, select, update

from app.errors import StoreUnavailable
from app.store.clock import ago, now
from app.store.engine import Database
from app.store.pruning import drop
from app.store.session_rows import find_session
from app.store.tables import waiting_requests

FORGOTTEN_SECONDS: Final = 3.0
"""A request that has not shown itself for so long does not stand in line any more: its process died."""


class WaitingLineStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def place(self, session_id: str, process: str) -> Iterator[None]:
        """At the end of the session's line. SessionNotFound."""
        place = uuid.uuid4().hex
        values = {"id": place, "session_id": session_id, "process": process}
        with self._database.writing() as connection:
            find_session(connection, session_id)
            connection.execute(insert(waiting_requests).values(values | {"since": now(), "seen_at": now()}))
        try:
            yield
        finally:
            self._leave(place)

    def _leave(self, place: str) -> None:
        try:
            with self._database.writing() as connection:
                connection.execute(delete(waiting_requests).where(waiting_requests.c.id == place))
        except StoreUnavailable:
            pass  # it will be forgotten

    def prune(self) -> int:
        """Deletes the places of forgotten requests. Returns how many."""
        return drop(self._database, waiting_requests, waiting_requests.c.seen_at < ago(FORGOTTEN_SECONDS))

    def still_there(self, session_id: str, process: str) -> None:
        """Shows that this process's requests still wait."""
        mine = (waiting_requests.c.session_id == session_id) & (waiting_requests.c.process == process)
        with self._database.writing() as connection:
            connection.execute(update(waiting_requests).where(mine).values(seen_at=now()))

    def turn_of(self, session_id: str) -> str | None:
        """The process whose request has waited longest; None if nobody waits."""
        query = select(waiting_requests.c.process).where(
            waiting_requests.c.session_id == session_id,
            waiting_requests.c.seen_at >= now() - FORGOTTEN_SECONDS,
        )
        with self._database.reading() as connection:
            first = query.order_by(waiting_requests.c.since, waiting_requests.c.id).limit(1)
            process: str | None = connection.execute(first).scalar()
            return process
