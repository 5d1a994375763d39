"""The parts of a process that have to do with runs, put together."""

from __future__ import annotations

from app.conversation.run import Owner
from app.runtime.heartbeat import Heartbeat
from app.runtime.housekeeping import Housekeeper
from app.runtime.kept_conversations import KeptConversations
from app.runtime.live_runs import LiveRuns
from app.runtime.loop_driver import LoopDriver
from app.runtime.manager import RuntimeManager
from app.runtime.periodic_tasks import PeriodicTasks
from app.runtime.process_identity import this_process
from app.runtime.run_claims import Claims
from app.runtime.run_finisher import Finisher
from app.runtime.run_plan import Planner
from app.runtime.session_locks import SessionLocks
from app.runtime.spare_memory import SpareMemory
from app.runtime.streams.event_log import EventLogs
from app.runtime.streams.stream_slots import Slots
from app.runtime.supervisor import Supervisor
from app.store.store import Store
from app.telemetry.telemetry import Telemetry
from app.threads import Services


class Runtime:
    """Made after the fork, once per process. Each user takes the parts that it needs."""

    def __init__(
        self,
        store: Store,
        planner: Planner,
        *,
        max_streams: int,
        share: float = 1.0,
        heartbeat_seconds: float,
        history_bytes: int = 0,
        owner: Owner | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        """At most `max_streams` runs, and a `share` of them for one owner. `history_bytes` of memory are for the
        conversations of sessions between their runs."""
        telemetry = telemetry or Telemetry()
        metrics = telemetry.metrics
        self.owner = owner or this_process()
        self.slots = Slots(max_streams, share=share, what="streams")
        self.runs = LiveRuns(self.slots, share=share)
        self.locks = SessionLocks()
        self.logs = EventLogs()
        self.kept = KeptConversations(history_bytes)
        self.planner = planner
        self.claims = Claims(store, metrics, owner=self.owner)
        finisher = Finisher(store, self.logs, metrics)
        housekeeper = Housekeeper(store, self.logs, self.runs.all, metrics=metrics)
        self.heartbeat = Heartbeat(
            store.leases, self.runs.all, seconds=heartbeat_seconds, lose=housekeeper.lose, metrics=metrics
        )
        self.periodic_tasks = PeriodicTasks()
        SpareMemory(lambda: self.slots.taken, self.periodic_tasks)
        self.services = Services(self.heartbeat, housekeeper, self.periodic_tasks)
        self.manager = RuntimeManager(
            planner,
            self.runs,
            self.locks,
            self.claims,
            self.logs,
            LoopDriver(store, telemetry, self.kept),
            finisher,
            self.services,
            telemetry.tracing,
        )
        self.supervisor = Supervisor(
            store,
            self.manager,
            self.runs,
            self.logs,
            finisher,
            self.heartbeat,
            self.periodic_tasks,
            self.services,
            metrics,
            owner=self.owner,
        )
