"""Looks after runs from outside their threads: runs that don't stop, runs of dead processes, messages that wait for
a run, and the end of the process itself."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from typing import Final

from app.conversation.run import Owner, Run
from app.conversation.run_outcome import CANCELLED, LOST, RunOutcome, stopped
from app.runtime.heartbeat import Heartbeat
from app.runtime.live_run import LiveRun
from app.runtime.live_runs import LiveRuns
from app.runtime.manager import RuntimeManager
from app.runtime.periodic_tasks import PeriodicTasks
from app.runtime.run_finisher import Finisher
from app.runtime.streams.event_log import EventLogs
from app.store.store import Store
from app.telemetry.metrics import Metrics
from app.threads import Services

log = logging.getLogger(__name__)

ABANDON_SECONDS: Final = 10.0  # how long a cancelled run may take to end by itself
LOST_SECONDS: Final = 1.0  # and one whose session another process has, so that nobody wants its results
SWEEP_SECONDS: Final = 5.0  # how often one looks for runs of processes that died
STRANDED_SECONDS: Final = 15.0  # and for messages that they did not begin with
PRUNE_SECONDS: Final = 60.0
DRAIN_LOOK_SECONDS: Final = 0.1  # how often a drain looks for runs that it may let go


class Supervisor:
    """One per process. Its periodic work happens on the maintenance thread; `recover` and `drain` may be called from
    any other."""

    def __init__(
        self,
        store: Store,
        manager: RuntimeManager,
        runs: LiveRuns,
        logs: EventLogs,
        finisher: Finisher,
        heartbeat: Heartbeat,
        maintenance: PeriodicTasks,
        services: Services,
        metrics: Metrics,
        *,
        owner: Owner,
    ) -> None:
        self._store = store
        self._manager = manager
        self._runs = runs
        self._logs = logs
        self._heartbeat = heartbeat
        self._services = services
        self._metrics = metrics
        self._owner = owner
        maintenance.every(1.0, finisher.catch_up)
        maintenance.every(1.0, self.abandon)
        maintenance.every(1.0, self._close_deleted)
        maintenance.every(SWEEP_SECONDS, self._sweep)
        maintenance.every(SWEEP_SECONDS, self._close_forgotten)
        maintenance.every(STRANDED_SECONDS, self._begin_stranded)
        maintenance.every(PRUNE_SECONDS, self._prune)

    # ---- runs of this process

    def abandon(self) -> None:
        """Stops runs that have been at work for too long, and ends those that don't stop though they were told to, each
        on a thread of its own: its row may not be had for a while."""
        for live in self._runs.all():
            live.stop_if_overdue()
            since = live.cancellation.since
            patience, outcome = ABANDON_SECONDS, stopped(overdue=live.is_overdue)
            if live.lost:
                patience, outcome = LOST_SECONDS, LOST
            if live.ending or not live.cancellation.is_set() or time.monotonic() - since <= patience:
                continue
            self._take_away(live, outcome)

    def _take_away(self, live: LiveRun, outcome: RunOutcome) -> threading.Thread:
        """Ends a run whose own thread does not. Its session's lock is released outside of that thread."""
        log.warning("run %s does not stop; its session is taken away from it", live.run.id)
        name = f"run-abandoned-{live.run.id[:8]}"
        thread = threading.Thread(target=self._manager.end, args=(live, outcome), name=name, daemon=True)
        thread.start()
        return thread

    def _close_deleted(self) -> None:
        """Ends the readers of sessions that another process has deleted. A run loses its session first."""
        held = {live.run.session_id for live in self._runs.all() if not live.lost}
        doubtful = [log.session_id for log in self._logs.followed() if log.session_id not in held]
        for session_id in self._store.sessions.missing(doubtful):
            self._logs.close_deleted(session_id)

    # ---- what other processes have left behind

    def recover(self, *, by_lease: bool = False) -> int:
        """Closes the runs of processes that died, so that no request has to find out first, and says how many there
        were. A server does so when it starts, too. `by_lease`: see `SweepStore.interrupt_dead`."""
        dead = self._store.sweep.interrupt_dead(by_lease=by_lease)
        self._count_interrupted(dead, "its process died")
        for run in self._store.sweep.cancel_stopped():
            log.info("run %s was stopped while no process had it", run.id)
            self._metrics.run_ended("cancelled", "cancelled")
        return len(dead)

    def _sweep(self) -> None:
        """One process of each host and process-id name space does so: it alone can tell which of its processes are
        gone."""
        if self._store.jobs.take(f"sweep {self._owner.host} {self._owner.boot}", period=SWEEP_SECONDS):
            self.recover(by_lease=self._heartbeat.unbroken_for(self._store.lease_seconds))

    def _close_forgotten(self) -> None:
        """Closes runs of this process whose end could not be stored, and that are not at work any more."""
        at_work = [live.run.id for live in self._runs.all()]
        closed = self._store.sweep.interrupt_forgotten(self._owner, at_work=at_work)
        self._count_interrupted(closed, "its end could not be stored")

    def _count_interrupted(self, closed: Sequence[Run], why: str) -> None:
        for run in closed:
            log.warning("run %s of session %s was interrupted: %s", run.id, run.session_id, why)
            self._metrics.run_ended("interrupted", "interrupted")

    def _begin_stranded(self) -> None:
        if self._runs.draining or not self._store.jobs.take("begin stranded", period=STRANDED_SECONDS):
            return
        for session_id in self._store.queue.stranded():
            self._manager.start_queued(session_id)

    def _prune(self) -> None:
        if self._store.jobs.take("prune", period=PRUNE_SECONDS):
            self._store.prune()
            if self._store.events.may_pack():
                self._store.condenser.condense()

    # ---- the end of the process

    def drain(self, seconds: float, *, stop_within: float = 5.0) -> None:
        """Refuses new runs, gives the live ones `seconds` to finish, then cancels them. Runs that wait for a person
        are let go, however short that is: they go on where the answer arrives."""
        self._runs.refuse_more()
        if runs := self._runs.all():
            log.info("draining: %d runs have %.0f seconds to finish", len(runs), seconds)
        self._wait_for_runs(seconds)
        self._wait_for_runs(stop_within, stop=True)
        for live in self._runs.all():
            if live.waiting_for is not None:
                self._manager.end(live, None)  # its row waits, parked or not
        endings = [self._take_away(live, CANCELLED) for live in self._runs.all()]
        for thread in endings:
            thread.join()
        self._services.stop()
        self._logs.close_all()

    def _wait_for_runs(self, seconds: float, *, stop: bool = False) -> None:
        """Until all have ended, those included that are being begun, at most so long. Runs that come to wait for a
        person are let go; the others are stopped, if `stop` says so."""
        deadline = time.monotonic() + seconds
        while True:
            runs = self._runs.all()
            for live in runs:
                if live.waiting_for is not None:
                    live.park()
                elif stop:
                    live.cancellation.cancel("shutdown")
            remaining = deadline - time.monotonic()
            if not (runs or self._runs.starting) or remaining <= 0:
                return
            ended = runs[0].finished if runs else threading.Event()
            ended.wait(min(remaining, DRAIN_LOOK_SECONDS))
