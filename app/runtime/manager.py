"""One run at a time for each session: the lock is acquired on the request's thread and released on the run's.

A request that finds the lock taken is refused at once and has changed nothing: its messages are stored only once it
holds the lock. The run's thread holds it through the whole stream and every tool call, and releases it in a `finally`.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from typing import Final

from app.conversation.run import Run
from app.conversation.run_outcome import FAILED, FINISHED, LOST, RunOutcome, stopped
from app.errors import AppError, BatonLost, RunCancelled, ServerFull, SessionBusy
from app.runtime.live_run import LiveRun, RunParked
from app.runtime.live_runs import LiveRuns, describe
from app.runtime.loop_driver import LoopDriver
from app.runtime.request_context import RequestContext
from app.runtime.run_claims import Claim, Claims, Told
from app.runtime.run_finisher import Finished, Finisher
from app.runtime.run_plan import Plan, Planner
from app.runtime.session_locks import SessionLock, SessionLocks
from app.runtime.streams.event_log import EventLogs
from app.store.run_request import RunRequest
from app.telemetry.tracing import Span, Tracing
from app.threads import Services

log = logging.getLogger(__name__)

STOPPING_SECONDS: Final = 1.0  # how long a new run waits for the end of one that is being stopped


class RuntimeManager:
    """One per process, shared by all its request threads."""

    def __init__(
        self,
        planner: Planner,
        runs: LiveRuns,
        locks: SessionLocks,
        claims: Claims,
        logs: EventLogs,
        driver: LoopDriver,
        finisher: Finisher,
        services: Services,
        tracing: Tracing,
    ) -> None:
        """`services` are the threads that runs need beside their own."""
        self._planner = planner
        self._runs = runs
        self._locks = locks
        self._claims = claims
        self._logs = logs
        self._driver = driver
        self._finisher = finisher
        self._services = services
        self._tracing = tracing

    def start(self, request: RunRequest) -> LiveRun:
        """Locks the session, stores the messages and starts the run.

        Never waits for the lock: SessionBusy. A run that is stopping gets a moment to release the session before.
        Whatever it raises, nothing was changed and nothing is held.
        Also Draining, ServerFull, SessionNotFound, AgentNotFound, InvalidAgentConfig, MissingEnvironment,
        StalePrecondition, KeyUsed, BudgetReached, TooManyRuns, StoreUnavailable.
        """
        asked_at = time.monotonic()
        plan = self._planner.plan(request.key, request.name)
        claim = partial(self._claims.new_run, request, plan)
        launch = partial(
            self.launch, request.session_id, plan, claim, headers=request.headers, asked_at=asked_at
        )
        try:
            live = launch()
        except SessionBusy as busy:
            if busy.run is None or not self._has_stopped(busy.run):
                raise
            live = launch()
        assert live is not None  # noqa: S101 - this claim claims or raises
        if plan.begin_title is not None and not live.titled:
            plan.begin_title(live, request.messages)
        return live

    def launch(
        self,
        session_id: str,
        plan: Plan,
        claim: Claim,
        *,
        run_id: str = "",
        headers: Mapping[str, str] | None = None,
        asked_at: float | None = None,
    ) -> LiveRun | None:
        """Locks the session, has `claim` store the run, and lets the run's thread go to work; None if `claim` returns
        None. The thread exists before, so that a stored run can't fail to begin. Raises what `start` raises."""
        run_id = run_id or uuid.uuid4().hex
        with self._runs.admitted(session_id), ExitStack() as undo:
            lock = self.lock(session_id)
            undo.callback(lock.release)
            told = self._start_thread(run_id, plan)
            undo.callback(told.put, None)
            if (claimed := claim(run_id)) is None:
                return None
            undo.callback(claimed.undo)
            event_log = self._logs.open(session_id, claimed.next_event)
            undo.callback(self._logs.release, event_log)
            event_log.continue_at(claimed.next_event)
            context = RequestContext.of_this_thread(self._tracing)
            live = LiveRun(claimed.run, lock, event_log, context=context, asked_at=asked_at, headers=headers)
            self._runs.add(live, claimed.session, adopted=claimed.answered is not None)
            undo.pop_all()
            told.put((live, claimed))  # the lock is the thread's now
        return live

    def lock(self, session_id: str) -> SessionLock:
        """The session's lock, acquired. SessionBusy, with the run that holds it."""
        lock = self._locks.lock_of(session_id)
        if not lock.acquire(blocking=False):
            live = self._runs.find(session_id)
            raise SessionBusy(run=None if live is None else describe(live))
        return lock

    def _start_thread(self, run_id: str, plan: Plan) -> Told:
        """ServerFull if the system has no thread to give."""
        self._services.ensure_running()
        told = Told()
        thread = threading.Thread(target=self._work, args=(plan, told), name=f"run-{run_id[:8]}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            raise ServerFull() from error
        return told

    def _work(self, plan: Plan, told: Told) -> None:
        """The run's thread. Whatever happens, the session is free afterwards."""
        if (begun := told.get()) is None:
            return
        live, claimed = begun
        outcome: RunOutcome | None = FAILED
        with ExitStack() as observed:
            span = Span()
            try:
                span = observed.enter_context(self._driver.observed(live, plan.agent))
                self._driver.drive(live, plan, claimed)
                outcome = FINISHED
            except RunParked:
                outcome = None
            except RunCancelled:
                outcome = stopped(overdue=live.is_overdue)
            except BatonLost:
                live.lose()
            except AppError as error:
                outcome = RunOutcome("failed", error.code, error.message, error.details)
            except Exception:
                log.exception("the run failed")
            finally:
                outcome = LOST if live.lost else outcome
                self.end(live, outcome)
                if outcome is not None and outcome is not FINISHED:
                    span.fail(outcome.code)

    def end(self, live: LiveRun, outcome: RunOutcome | None) -> None:
        """Stores how the run ended, releases the session's lock and then shows the end; once, whichever thread comes
        first. Without an `outcome` the run waits for a person: its row goes on waiting, and this process lets it go.
        The run's thread calls it. Outside of that thread the supervisor alone does so, for a run whose thread does not
        stop, and an operator who takes the session away: it is the one other release of a session's lock.
        """
        if not live.begin_ending():
            return
        finished: Finished | None = None
        try:
            if outcome is not None:
                finished = self._finisher.finish(live, outcome)
        finally:
            live.lock.release()
            self._runs.remove(live)
            self._finisher.show(live, finished)
        log.info(
            "run %s", outcome or "let go: it waits for an answer, and whichever process gets that goes on"
        )
        goes_on = outcome is FINISHED or live.translator is not None  # whose clients queue all that they say
        if finished is not None and finished.queued and goes_on:
            self.start_queued(live.run.session_id)

    def start_queued(self, session_id: str) -> bool:
        """Starts a run for what waits in the session's queue; says whether a run is at work now."""
        request = self._claims.of_queue(session_id)
        if request is None:
            return False
        try:
            self.start(request)
        except SessionBusy:
            return True  # and it will find them
        except AppError as error:
            log.warning("what waits for session %s was not begun with: %s", session_id, error.message)
            return False
        return True

    def _has_stopped(self, run: Run) -> bool:
        """Waits a moment for the end of a run that is stopping, in whatever process. A client can talk again at once
        after it has hung up, asked for a stop, refused further turns or seen in the database that the run has ended."""
        if not run.is_stopping:
            return False
        live = self._runs.find(run.session_id)
        if live is not None and live.run.id == run.id:
            return live.finished.wait(STOPPING_SECONDS)
        return self._claims.await_end(run.id, STOPPING_SECONDS)
