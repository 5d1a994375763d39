"""The stores of one database, together."""

from __future__ import annotations

from app.store.engine import Database
from app.store.event_store import EventStore
from app.store.idempotency import IdempotencyStore
from app.store.queue_store import QueueStore
from app.store.run_store import RunStore
from app.store.session_store import SessionStore


class Store:
    def __init__(self, database: Database, *, lease_seconds: float) -> None:
        self.database = database
        self.sessions = SessionStore(database)
        self.runs = RunStore(database, lease_seconds=lease_seconds)
        self.events = EventStore(database)
        self.queue = QueueStore(database, self.runs)
        self.idempotency = IdempotencyStore(database)
