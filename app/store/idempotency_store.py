"""The outcomes of requests that were made under a key."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select, update

from app.errors import IdempotencyConflict
from app.store.clock import ago, now
from app.store.engine import Database
from app.store.idempotency import KEEP_SECONDS, KeyUse, Outcome
from app.store.pruning import drop
from app.store.row_mapping import dump_optional, load_optional
from app.store.tables import idempotency_keys


class IdempotencyStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    def outcome(self, use: KeyUse) -> Outcome | None:
        """The outcome that the key stands for already; IdempotencyConflict if that was another request."""
        with self._database.reading() as connection:
            row = connection.execute(
                select(idempotency_keys).where(
                    idempotency_keys.c.owner == use.owner,
                    idempotency_keys.c.key == use.key,
                    idempotency_keys.c.created_at > now() - KEEP_SECONDS,
                )
            ).first()
        if row is None:
            return None
        if row.request != use.request:
            raise IdempotencyConflict()
        return Outcome(row.session_id, row.run_id, load_optional(row.response_json))

    def correct(self, use: KeyUse | None, response: Any) -> None:
        """The request was answered something else than it was thought to be when its key was stored."""
        if use is None:
            return
        with self._database.writing() as connection:
            same = (idempotency_keys.c.owner == use.owner) & (idempotency_keys.c.key == use.key)
            values = {"response_json": dump_optional(response)}
            connection.execute(update(idempotency_keys).where(same).values(values))

    def prune(self) -> int:
        """Drops keys that have run out. Returns how many."""
        return drop(self._database, idempotency_keys, idempotency_keys.c.created_at <= ago(KEEP_SECONDS))
