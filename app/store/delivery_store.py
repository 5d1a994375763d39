"""Deliveries of webhooks: taken by one process at a time, each for a while, so that no transaction waits for a
receiver, and a process that dies leaves its own to others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from app.store.clock import ago, now
from app.store.engine import Database
from app.store.managed_tables import disabled_webhooks, webhook_deliveries
from app.store.prepared_statements import Prepared
from app.store.pruning import drop

KEEP_SECONDS: Final = 86_400.0
"""An event is delivered again and again for this long; then it is given up."""

_HERE: Final = webhook_deliveries.c.id == bindparam("delivery")
_IS_DUE: Final = Prepared(
    select(webhook_deliveries.c.id).where(webhook_deliveries.c.due_at <= now()).limit(1)
)
_FIRST: Final = (
    select(webhook_deliveries)
    .where(webhook_deliveries.c.due_at <= now())
    .order_by(webhook_deliveries.c.due_at)
    .limit(1)
    .with_for_update(skip_locked=True)
)
_DELAY: Final = Prepared(
    update(webhook_deliveries)
    .where(_HERE)
    .values(due_at=now() + bindparam("seconds"), attempts=webhook_deliveries.c.attempts + bindparam("more"))
)
_DROP: Final = Prepared(delete(webhook_deliveries).where(_HERE))
_OLD: Final = Prepared(
    select(webhook_deliveries.c.id).where(_HERE, webhook_deliveries.c.created_at < ago(KEEP_SECONDS))
)
_DISABLED: Final = Prepared(
    select(disabled_webhooks.c.address).where(disabled_webhooks.c.address == bindparam("here"))
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event, and how often it was tried to deliver it. `subject` are the ids that it tells; `created_at` is in
    seconds since the epoch, by the database's clock."""

    id: str
    type: str
    subject: dict[str, Any]
    created_at: float
    attempts: int


class DeliveryStore:
    """Any thread may call it. StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def announce(self, *, wanted: bool) -> None:
        """From now on this process writes down for webhooks what happens, or does not."""
        self._database.announces = wanted

    def take(self, *, seconds: float) -> Delivery | None:
        """The delivery that has been due for the longest time; nobody else gets it within so many seconds."""
        with self._database.glance() as connection:
            if _IS_DUE.first(connection) is None:
                return None
        with self._database.writing() as connection:
            row = connection.execute(_FIRST).first()
            if row is None:
                return None
            _DELAY.run(connection, {"delivery": row.id, "seconds": seconds, "more": 0})
        return Delivery(row.id, row.type, orjson.loads(row.subject_json), row.created_at, row.attempts)

    def delivered(self, delivery_id: str) -> None:
        with self._database.writing() as connection:
            _DROP.run(connection, {"delivery": delivery_id})

    def failed(self, delivery_id: str, *, again_in: float) -> bool:
        """Is it tried again, in so many seconds? An event that is too old is given up."""
        with self._database.writing() as connection:
            if _OLD.first(connection, {"delivery": delivery_id}) is not None:
                _DROP.run(connection, {"delivery": delivery_id})
                return False
            _DELAY.run(connection, {"delivery": delivery_id, "seconds": again_in, "more": 1})
            return True

    def disable(self, address: str) -> None:
        """Drops the events that wait for it. `address` is anything that stands for the endpoint's address."""
        try:
            with self._database.writing() as connection:
                others = disabled_webhooks.c.address != address  # of former settings
                connection.execute(delete(disabled_webhooks).where(others))
                connection.execute(insert(disabled_webhooks).values(address=address, disabled_at=now()))
        except IntegrityError:
            pass  # another process has done so
        drop(self._database, webhook_deliveries, webhook_deliveries.c.created_at <= ago(0.0))

    def enable(self, address: str) -> None:
        with self._database.writing() as connection:
            connection.execute(delete(disabled_webhooks).where(disabled_webhooks.c.address == address))

    def is_disabled(self, address: str) -> bool:
        with self._database.glance() as connection:
            return _DISABLED.first(connection, {"here": address}) is not None

    def prune(self) -> int:
        """Drops what nobody delivers any more, and returns how many."""
        return drop(
            self._database, webhook_deliveries, webhook_deliveries.c.created_at < ago(2 * KEEP_SECONDS)
        )
