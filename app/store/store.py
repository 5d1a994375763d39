"""The stores of one database, together."""

from __future__ import annotations

from app.store.account_store import NO_LIMITS, AccountStore, Limits
from app.store.audit_store import AuditStore
from app.store.background_store import BackgroundStore
from app.store.edit_store import EditStore
from app.store.engine import Database
from app.store.event_store import EventStore
from app.store.fence import Fence
from app.store.fork_store import ForkStore
from app.store.idempotency import IdempotencyStore
from app.store.line_store import LineStore
from app.store.queue_store import QueueStore
from app.store.record_store import RecordStore
from app.store.run_store import RunStore
from app.store.session_store import SessionStore


class Store:
    def __init__(
        self, database: Database, *, lease_seconds: float, limits: Limits = NO_LIMITS, audit_days: float = 90
    ) -> None:
        fence = Fence(lease_seconds)
        self.database = database
        self.sessions = SessionStore(database)
        self.runs = RunStore(database, fence, limits)
        self.background = BackgroundStore(database, fence, self.runs, limits)
        self.edits = EditStore(self.runs)
        self.forks = ForkStore(database)
        self.records = RecordStore(database, fence, keeps_accounts=limits.owner_budget > 0)
        self.events = EventStore(database, fence)
        self.queue = QueueStore(database, fence)
        self.line = LineStore(database)
        self.idempotency = IdempotencyStore(database)
        self.accounts = AccountStore(database, limits)
        self.audit = AuditStore(database, keep_days=audit_days)
