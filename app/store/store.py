"""The stores of one database, together."""

from __future__ import annotations

from app.store.engine import Database
from app.store.event_store import EventStore
from app.store.fence import Fence
from app.store.idempotency import IdempotencyStore
from app.store.line_store import LineStore
from app.store.queue_store import QueueStore
from app.store.record_store import RecordStore
from app.store.run_store import RunStore
from app.store.session_store import SessionStore


class Store:
    def __init__(self, database: Database, *, lease_seconds: float) -> None:
        fence = Fence(lease_seconds)
        self.database = database
        self.sessions = SessionStore(database)
        self.runs = RunStore(database, fence)
        self.records = RecordStore(database, fence)
        self.events = EventStore(database, fence)
        self.queue = QueueStore(database, fence)
        self.line = LineStore(database)
        self.idempotency = IdempotencyStore(database)
