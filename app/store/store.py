"""The stores of one database, together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from app.conversation.run import Probe
from app.store.answer_store import AnswerStore
from app.store.audit_store import AuditStore
from app.store.background_store import BackgroundStore
from app.store.belongings import Belongings
from app.store.brake_store import BrakeStore
from app.store.call_decisions import CallDecisions
from app.store.claim_store import ClaimStore
from app.store.credential_store import CredentialStore
from app.store.delivery_store import DeliveryStore
from app.store.engine import Database
from app.store.environment_store import EnvironmentStore
from app.store.event_condenser import EventCondenser
from app.store.event_store import AT_WORK_WITHIN, EventStore
from app.store.fence import Fence, look_at_leases_alone
from app.store.file_store import FileStore
from app.store.fork_store import ForkStore
from app.store.full_sessions import FullSessions
from app.store.history_store import HistoryStore
from app.store.idempotency_store import IdempotencyStore
from app.store.job_store import JobStore
from app.store.lease_store import LeaseStore
from app.store.managed_sessions import ManagedSessions
from app.store.memories import Memories
from app.store.memory_history import MemoryHistory
from app.store.memory_mounts import MemoryMounts
from app.store.memory_store import MemoryStores
from app.store.outcome_store import OutcomeStore
from app.store.pause_store import PauseStore
from app.store.queue_store import QueueStore
from app.store.quota_store import QuotaStore
from app.store.quotas import NO_LIMITS, Limits
from app.store.resource_store import ResourceStore
from app.store.run_journal import RunJournal
from app.store.run_reads import RunReads
from app.store.run_store import RunStore
from app.store.search_index import SearchIndex
from app.store.search_store import SearchStore
from app.store.session_store import SessionStore
from app.store.skill_store import SkillStore
from app.store.stored_agents import StoredAgents
from app.store.sweep_store import SweepStore
from app.store.thread_store import ThreadStore
from app.store.timeline_store import TimelineStore
from app.store.told_event_pages import ToldEventPages
from app.store.told_events import ToldEvents
from app.store.tree_store import TreeStore
from app.store.vault_store import VaultStore
from app.store.waiting_line_store import WaitingLineStore
from app.store.work_settling import WorkSettling
from app.store.work_store import WorkStore

KEEP_EVENTS: Final = 10_000  # of a session
KEEP_EVENTS_SECONDS: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many rows were dropped, by table."""

    event_segments: int
    idempotency_keys: int
    waiting_requests: int
    audit: int
    request_allowances: int
    spending: int
    scheduled_jobs: int
    queued_messages: int
    files: int
    file_contents: int
    skill_versions: int
    memory_versions: int
    webhook_deliveries: int


class Store:
    def __init__(
        self,
        database: Database,
        *,
        lease_seconds: float,
        probe: Probe = look_at_leases_alone,
        limits: Limits = NO_LIMITS,
        audit_days: float = 90,
        search: bool = True,
        file_bytes_per_name: int = 0,
    ) -> None:
        """`probe` looks for the processes of runs; without it their leases alone say whether one is dead.
        `search`: keep an index of words. `file_bytes_per_name`: 0 is no limit."""
        fence = Fence(lease_seconds, probe)
        self.database = database
        self.fence = fence
        aside = database.sibling(durable=False)
        self.leases = LeaseStore(aside, fence)
        self.lease_seconds = lease_seconds
        self.sessions = SessionStore(database)
        self.search = SearchStore(database)
        self.search_index = SearchIndex(database, enabled=search)
        self.trees = TreeStore(database)
        self.histories = HistoryStore(database)
        self.timelines = TimelineStore(database)
        self.full = FullSessions(limits.session_bytes)
        self.claims = ClaimStore(database, fence, self.full, limits)
        self.answers = AnswerStore(database, fence)
        self.runs = RunStore(database, fence)
        self.background = BackgroundStore(database, fence, limits)
        self.forks = ForkStore(database)
        self.journal = RunJournal(database, fence, keeps_accounts=limits.owner_budget > 0)
        self.reads = RunReads(database)
        self.jobs = JobStore(database)
        self.events = EventStore(database, fence, self.jobs)
        self.condenser = EventCondenser(database)
        self.sweep = SweepStore(database, fence)
        self.queue = QueueStore(database, fence)
        self.pauses = PauseStore(database, self.queue.count_addition)
        self.waiting_line = WaitingLineStore(database)
        self.brakes = BrakeStore(database, aside)
        self.idempotency = IdempotencyStore(database)
        self.quotas = QuotaStore(database, limits)
        self.agents = StoredAgents(database, limits)
        self.environments = EnvironmentStore(database, limits)
        self.vaults = VaultStore(database, limits)
        self.credentials = CredentialStore(database)
        self.skills = SkillStore(database, limits)
        self.memory_stores = MemoryStores(database, limits)
        self.memories = Memories(database, limits)
        self.memory_history = MemoryHistory(database)
        self.memory_mounts = MemoryMounts(database, limits)
        self.managed = ManagedSessions(database, fence, self.queue.count_addition)
        self.told = ToldEvents(database)
        self.told_pages = ToldEventPages(database)
        self.resources = ResourceStore(database)
        self.files = FileStore(database, most_bytes=file_bytes_per_name)
        self.belongings = Belongings(database)
        self.decisions = CallDecisions(database)
        self.work = WorkStore(database)
        self.work_ends = WorkSettling(database)
        self.threads = ThreadStore(database, self.queue.count_addition)
        self.deliveries = DeliveryStore(database)
        self.outcomes = OutcomeStore(database)
        self.audit = AuditStore(database, keep_days=audit_days)

    def prune(
        self,
        *,
        keep_events_seconds: float = KEEP_EVENTS_SECONDS,
        keep_events: int = KEEP_EVENTS,
        at_work_within: float | None = AT_WORK_WITHIN,
    ) -> Pruned:
        """Drops what would grow without end and is not part of a conversation; that goes with its session only.

        Short transactions, and a bound for each table: a number of rows dropped that is at least `pruning.MOST`
        says that more may be left. `at_work_within` see `EventStore.prune`.
        """
        segments = self.events.prune(
            older_than_seconds=keep_events_seconds, keep_events=keep_events, at_work_within=at_work_within
        )
        keys = self.idempotency.prune()
        places = self.waiting_line.prune()
        entries = self.audit.prune()
        allowances, days = self.quotas.prune()
        jobs, queued = self.jobs.prune(), self.queue.prune()
        expired, unused = self.files.prune()
        versions = self.skills.prune()
        memory_versions = self.memory_history.prune()
        untold = self.deliveries.prune()
        return Pruned(
            segments,
            keys,
            places,
            entries,
            allowances,
            days,
            jobs,
            queued,
            expired,
            unused,
            versions,
            memory_versions,
            untold,
        )
