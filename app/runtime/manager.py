"""Who may write to a session, and the thread that does.

The lock is taken in `RuntimeManager.start`, on the request thread, and given back in `RuntimeManager.end`,
on the run's thread. In between it belongs to the run, through the whole stream and every tool call.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from queue import SimpleQueue
from typing import Any, Final

from app.agent.context import Resumption
from app.conversation.audit import AuditEntry
from app.conversation.events import SessionExited
from app.conversation.run import Owner, Probe, Run
from app.conversation.session import Session
from app.conversation.transcript import Message
from app.errors import (
    AppError,
    BatonLost,
    Draining,
    RunCancelled,
    ServerFull,
    SessionBusy,
    StoreUnavailable,
    TimeReached,
    TooManyRuns,
)
from app.runtime.ending import LOST, Ending, last_words
from app.runtime.event_encoder import EventEncoder
from app.runtime.event_log import EventLog
from app.runtime.event_logs import EventLogs
from app.runtime.finisher import Finished, Finisher
from app.runtime.heartbeat import Heartbeat
from app.runtime.keeper import Keeper
from app.runtime.live_run import LiveRun, RunParked
from app.runtime.maintenance import Maintenance
from app.runtime.origin import Origin
from app.runtime.owner import probe as owner_probe
from app.runtime.owner import this_process
from app.runtime.patience import Patience
from app.runtime.places import Places, share_of
from app.runtime.plan import Plan, Planner
from app.runtime.recorder import Recorder
from app.runtime.session_locks import Claim, SessionLocks
from app.store.idempotency import KeyUse
from app.store.run_store import Answered, Begun
from app.store.store import Store
from app.telemetry.telemetry import Telemetry
from app.telemetry.tracing import Span

log = logging.getLogger(__name__)

STOPPING_SECONDS: Final = 1.0  # how long a new run waits for one that is being stopped
ABANDON_SECONDS: Final = 10.0  # how long a cancelled run may take to end by itself
SWEEP_SECONDS: Final = 5.0  # how often one looks for runs of processes that died
STRANDED_SECONDS: Final = 15.0  # and for messages that they did not begin with
PRUNE_SECONDS: Final = 60.0
DRAIN_LOOK_SECONDS: Final = 0.1  # how often a drain looks for runs that it may let go
LOST_SECONDS: Final = 1.0  # and one whose session another process has, so that nobody wants its results


Told = SimpleQueue[tuple[LiveRun, Session, Answered] | None]
"""Where the thread of a run that is adopted waits for the run; None if it comes to nothing."""


class RuntimeManager:
    """One per process, shared by all its request threads."""

    def __init__(
        self,
        store: Store,
        planner: Planner,
        *,
        max_streams: int,
        share: float = 1.0,
        heartbeat_seconds: float,
        owner: Owner | None = None,
        probe: Probe | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._store = store
        self._telemetry = telemetry or Telemetry()
        self._metrics = self._telemetry.metrics
        self._planner = planner
        self.owner = owner or this_process()
        self.probe = probe or partial(owner_probe, seen_from=self.owner)
        self._locks = SessionLocks()
        self.logs = EventLogs()
        self._max_streams = max_streams
        self._runs_each = share_of(max_streams, share)
        self.places = Places(max_streams, share=share, what="streams")
        self._guard = threading.Lock()  # of the three below; never held over anything that can block
        self._live: dict[str, LiveRun] = {}
        self._draining = False
        self._starting: list[str] = []  # sessions of runs that were admitted and may not be live yet
        self._on_free: list[Callable[[str], None]] = []
        self._keeper = Keeper(store, self.logs, self.live_runs, metrics=self._metrics)
        self.heartbeat = Heartbeat(
            store.leases,
            self.live_runs,
            seconds=heartbeat_seconds,
            lose=self._keeper.lose,
            metrics=self._metrics,
        )
        self._finisher = Finisher(store, self._metrics)
        self.maintenance = Maintenance()
        self.maintenance.every(1.0, self._finisher.catch_up)
        self.maintenance.every(1.0, self._abandon)
        self.maintenance.every(1.0, self._close_deleted)
        self.maintenance.every(SWEEP_SECONDS, self._sweep)
        self.maintenance.every(SWEEP_SECONDS, self._close_forgotten)
        self.maintenance.every(STRANDED_SECONDS, self._begin_stranded)
        self.maintenance.every(PRUNE_SECONDS, self._prune)

    def when_free(self, tell: Callable[[str], None]) -> None:
        """Has this called with the id of each session that a run of this process has let go of."""
        self._on_free.append(tell)

    # ---- taking the baton

    def start(
        self,
        session_id: str,
        *,
        key: str,
        name: str | None = None,
        messages: Sequence[Message],
        visible_to: str | None = None,
        expected_position: int | None = None,
        replacing: str | None = None,
        idempotency: KeyUse | None = None,
        options: Mapping[str, Any] | None = None,
        audit: AuditEntry | None = None,
        headers: Mapping[str, str] | None = None,
        model: str | None = None,
    ) -> LiveRun:
        """Takes the baton, stores the messages and starts the run's thread. Without messages the run works on
        what waits in the session's queue. A `model` ("provider/name") is what the session's runs ask from now
        on; empty: each agent's own. Messages of the run `replacing`, which was stopped for this one, may follow
        `expected_position`.

        Never waits for another run: SessionBusy. Whatever it raises, nothing was changed and nothing is held.
        Also Draining, ServerFull, SessionNotFound, AgentNotFound, InvalidAgentConfig, MissingEnvironment,
        StalePrecondition, KeyUsed, BudgetReached, TooManyRuns, StoreUnavailable.
        """
        asked_at = time.monotonic()
        with self.admitted(session_id), ExitStack() as undo:
            plan = self.plan_of(key, name)
            claim = self._claim_soon(session_id)
            undo.callback(claim.release)
            begun = self._store.runs.begin(
                uuid.uuid4().hex,
                session_id,
                agent=plan.agent,
                owner=self.owner,
                new_messages=messages,
                probe=self.probe,
                last_words=last_words,
                visible_to=visible_to,
                expected_position=expected_position,
                replacing=replacing,
                key=idempotency,
                options=plan.options(options),
                audit=audit,
                model=model,
            )
            undo.callback(self._store.runs.withdraw, begun)
            if begun.interrupted is not None:
                self._metrics.run_ended("interrupted", "interrupted")
            live = self.launch(begun, claim, plan, undo, headers=headers, asked_at=asked_at)
            undo.pop_all()
        if plan.begin_title is not None and not begun.session.title:
            plan.begin_title(live, messages)
        return live

    def launch(
        self,
        begun: Begun,
        claim: Claim,
        plan: Plan,
        undo: ExitStack,
        *,
        headers: Mapping[str, str] | None,
        asked_at: float | None = None,
    ) -> LiveRun:
        """Starts the thread of a run that is stored; it owns the claim once `undo` is emptied."""
        event_log = self._open_log(begun.session.id, begun.next_event, undo)
        origin = Origin.of_this_thread(self._telemetry.tracing)
        live = LiveRun(begun.run, claim, event_log, origin=origin, asked_at=asked_at, headers=headers)
        self._start_thread(live, plan, begun.session, undo)
        return live

    def _claim_soon(self, session_id: str) -> Claim:
        """`claim`; but a run that is being stopped, or that ends at this moment, gets a moment to give its session
        back: a client that hangs up, or sees in the database that the run has ended, can talk again at once."""
        live = self.find(session_id)
        if live is not None and (live.ending or live.busy_code == "stopping"):
            live.finished.wait(STOPPING_SECONDS)
        return self.claim(session_id)

    def claim(self, session_id: str) -> Claim:
        try:
            return self._locks.claim(session_id)
        except SessionBusy:
            live = self.find(session_id)
            if live is None:
                raise
            raise SessionBusy(run=describe(live), busy_code=live.busy_code) from None

    @contextmanager
    def admitted(self, session_id: str) -> Iterator[None]:
        """Room for one run of this session while it is begun inside: a drain waits for it. Draining, ServerFull."""
        with self._guard:
            if self._draining:
                raise Draining()
            taken = len(self._live.keys() | set(self._starting))
            if session_id not in self._live and (taken >= self._max_streams or self.places.full):
                raise ServerFull()
            self._starting.append(session_id)
        try:
            yield
        finally:
            with self._guard:
                self._starting.remove(session_id)

    def _start_thread(self, live: LiveRun, plan: Plan, session: Session, undo: ExitStack) -> None:
        self.ensure_housekeeping()
        with self._guard:
            if self._draining:
                raise Draining()  # the drain has begun since the run was admitted, and would not see it
            self._check_share(session)
            live.account = session.owner
            self._live[session.id] = live
        undo.callback(self._forget, live)
        self._start(live.run, self._work, live, plan, session, None)

    def _check_share(self, session: Session) -> None:
        """TooManyRuns if the session's owner has its share of this process's runs. Call it under the guard."""
        theirs = [one for at, one in self._live.items() if one.account == session.owner and at != session.id]
        if session.owner and len(theirs) >= self._runs_each:
            raise TooManyRuns(
                f"{session.owner} has {len(theirs)} of {self._max_streams} runs at work here, which is its share; wait "
                "until one ends"
            )

    def _start(self, run: Run, work: Callable[..., None], *given: object) -> None:
        """The run's thread. ServerFull."""
        try:
            threading.Thread(target=work, args=given, name=f"run-{run.id[:8]}", daemon=True).start()
        except RuntimeError as error:  # no more threads to be had
            raise ServerFull() from error

    # ---- the run's thread

    def _work(self, live: LiveRun, plan: Plan, session: Session, answered: Answered | None) -> None:
        """Follows the run; whatever happens, the session is free afterwards."""
        ending: Ending | None = Ending("failed", "internal", "The run failed; the server's log knows more.")
        span = Span()
        with ExitStack() as observed:
            try:
                span = observed.enter_context(self._observed(live, plan.agent))
                if answered is None:
                    self._metrics.run_started()
                log.info("run started by agent %s", plan.agent)
                rows = live.patience(self._store.sessions.messages, session.id)
                resumption = None if answered is None else live.patience(self._resumption, answered)
                recorder = Recorder(self._store, live, self._telemetry)
                recorder.follow(plan.loop(live, session, rows, resumption))
                ending = Ending("finished")
            except RunParked:
                ending = None
            except RunCancelled:
                ending = _stopped(live)
            except BatonLost:
                live.lose()
            except AppError as error:
                ending = Ending("failed", error.code, error.message)
            except Exception:
                log.exception("the run failed")
            finally:
                if ending is None:
                    self._let_go(live)
                else:
                    ending = LOST if live.lost else ending
                    self.end(live, ending)
                    if ending.status != "finished":
                        span.fail(ending.code)

    def _resumption(self, answered: Answered) -> Resumption:
        """What the loop goes on from, as the rows have it now that no other process can write to them."""
        run, records = answered.run, self._store.records
        ledger = records.ledger(run.session_id, run_id=run.id)
        turns = records.turns(run.session_id, run.id)
        return Resumption(ledger, answered.question, answered.answer, turns)

    @contextmanager
    def _observed(self, live: LiveRun, agent: str) -> Iterator[Span]:
        """While inside, what this thread logs and traces is the run's."""
        tracing, run = self._telemetry.tracing, live.run
        with (
            live.origin.entered(tracing, session=run.session_id, run=run.id),
            tracing.run(session_id=run.session_id, run_id=run.id, agent=agent) as span,
        ):
            yield span

    def end(self, live: LiveRun, ending: Ending) -> None:
        """Finishes the run's row, frees the session, and then shows the end; once, whichever thread comes first.
        Whatever fails on the way, the session is free afterwards."""
        if not live.begin_ending():
            return
        finished = Finished(live.log.next_number - 1)
        try:
            finished = self._finisher.finish(live, ending)
        except Exception:
            log.exception("the end of run %s could not be told or stored", live.run.id)
        finally:
            try:
                self._free(live, finished.last_number)
            except Exception:
                log.exception("not everything that run %s held was given back", live.run.id)
            log.info("run %s%s", ending.status, f" ({ending.code})" if ending.code else "")
        if finished.queued and ending.status == "finished":
            self.start_queued(live.run.session_id)

    def _free(self, live: LiveRun, last_number: int | None) -> None:
        """Gives back everything that the run held, whatever fails meanwhile, from the last line to the first: the
        session is free before anybody can see the end."""
        with ExitStack() as last:
            for tell in self._on_free:
                last.callback(tell, live.run.session_id)
            last.callback(self.logs.release, live.log)
            last.callback(live.finished.set)
            if last_number is None:
                last.callback(live.log.leave, live.end)
            else:
                last.callback(live.log.show_end, live.end, last_number)
            last.callback(self._forget, live)
            last.callback(live.claim.release)

    def _let_go(self, live: LiveRun) -> None:
        """Of a run that waits for a person, for this process is going away: its row goes on waiting."""
        if not live.begin_ending():
            return
        with ExitStack() as last:
            last.callback(self.logs.release, live.log)
            last.callback(live.finished.set)
            last.callback(self._pass_on_stop, live)
            last.callback(self._forget, live)
            last.callback(live.claim.release)
        log.info("the run waits for an answer; whichever process gets it goes on")

    def _pass_on_stop(self, live: LiveRun) -> None:
        """A stop that was asked for while the run was let go ends its row."""
        if not live.cancellation.is_set() or live.lost:
            return
        by, words = live.cancellation.by, Ending("cancelled", "cancelled").encoded
        try:
            self._store.runs.request_stop(live.run.id, by, probe=self.probe, last_words=words)
        except AppError as error:
            log.warning("run %s waits on although it was stopped: %s", live.run.id, error.message)

    def _forget(self, live: LiveRun) -> None:
        with self._guard:
            if self._live.get(live.run.session_id) is live:
                del self._live[live.run.session_id]

    def adopt(self, run: Run, claim: Claim, take: Callable[[], Answered]) -> bool:
        """Goes on with a run that waits without a process. `take` answers it and makes it this process's, in one
        transaction. The thread that will work on it runs before: once the run is taken, nothing can fail but the work.

        False if the run has a process after all, which goes on with it. Draining, ServerFull, what `plan` and `take`
        raise: then nothing has changed. The claim is the run's only after True.
        """
        plan, told = self.plan(run), Told()
        with self.admitted(run.session_id), ExitStack() as undo:
            self.ensure_housekeeping()
            self._start(run, self._work_once_told, told, plan)
            undo.callback(told.put, None)
            try:
                answered = take()
            except StoreUnavailable:
                found = Patience()(self._store.runs.taken, run, self.owner)
                if found is None:
                    raise
                answered = found  # it was committed, and only the database's word was lost
            if answered.adopted is None:
                return False
            run = answered.run
            undo.callback(self._store.runs.finish, run.baton, "failed", code="internal")
            event_log = self._open_log(run.session_id, answered.adopted.next_event, undo)
            live = LiveRun(run, claim, event_log, origin=Origin.of_this_thread(self._telemetry.tracing))
            if run.stopped_by:
                live.heed_stop(run.stopped_by)
            live.account = answered.adopted.session.owner
            with self._guard:
                self._live[run.session_id] = live
            undo.pop_all()
            told.put((live, answered.adopted.session, answered))
        return True

    def _work_once_told(self, told: Told, plan: Plan) -> None:
        if (taken := told.get()) is not None:
            live, session, answered = taken
            log.info("run %s goes on here", live.run.id)
            self._work(live, plan, session, answered)

    def _open_log(self, session_id: str, next_event: int, undo: ExitStack) -> EventLog:
        event_log = self.logs.open(session_id, next_event)
        undo.callback(self.logs.release, event_log)
        event_log.continue_at(next_event)
        return event_log

    def start_queued(self, session_id: str) -> bool:
        """Starts a run for what waits in the queue; says whether a run is at work now."""
        last = self._store.runs.recent(session_id=session_id, limit=1)
        if not last:
            return False
        key, name = agent_of(last[0])
        try:
            self.start(session_id, key=key, name=name, messages=())
        except SessionBusy:
            return True  # and it will find them
        except AppError as error:
            log.warning("what waits for session %s was not begun with: %s", session_id, error.message)
            return False
        return True

    def plan_of(self, key: str, name: str | None) -> Plan:
        """AgentNotFound, InvalidAgentConfig, MissingEnvironment."""
        return self._planner.plan(key, name)

    def plan(self, run: Run) -> Plan:
        """For going on with a run that was begun before."""
        return self.plan_of(*agent_of(run))

    def close_log(self, session_id: str) -> None:
        """Ends the readers of a session that was deleted."""
        event = SessionExited(session_id=session_id)
        self.logs.close(session_id, EventEncoder().encode(event))

    def ensure_housekeeping(self) -> None:
        """Starts the threads that serve runs and readers, unless they run. ServerFull if there is no thread for
        them."""
        self.heartbeat.ensure_running()
        self._keeper.ensure_running()
        self.maintenance.ensure_running()

    # ---- looking

    def find(self, session_id: str) -> LiveRun | None:
        """The session's run in this process. Looking takes no lock that anybody waits for."""
        with self._guard:
            return self._live.get(session_id)

    def is_starting(self, session_id: str) -> bool:
        """Has somebody of this process claimed the session, without a run that could be found?"""
        return self.find(session_id) is None and self._locks.is_held(session_id)

    def held_sessions(self) -> frozenset[str]:
        """The sessions whose lock somebody of this process holds; for looking only."""
        return self._locks.held()

    def live_runs(self) -> list[LiveRun]:
        with self._guard:
            return list(self._live.values())

    # ---- the process's own life

    def _abandon(self) -> None:
        """Stops runs that have been at work for too long, and ends those that don't stop though they were told to, each
        on a thread of its own: its row may not be had for a while."""
        for live in self.live_runs():
            live.stop_if_overdue()
            since = live.cancellation.since
            patience, ending = ABANDON_SECONDS, _stopped(live)
            if live.lost:
                patience, ending = LOST_SECONDS, Ending("interrupted", BatonLost.code, BatonLost().message)
            if live.ending or not live.cancellation.is_set() or time.monotonic() - since <= patience:
                continue
            self._take_away(live, ending)

    def _take_away(self, live: LiveRun, ending: Ending) -> threading.Thread:
        """Ends a run whose own thread does not. This is the one release of a session's lock outside that thread."""
        log.warning("run %s does not stop; its session is taken away from it", live.run.id)
        name = f"run-abandoned-{live.run.id[:8]}"
        thread = threading.Thread(target=self.end, args=(live, ending), name=name, daemon=True)
        thread.start()
        return thread

    def _close_deleted(self) -> None:
        """Ends the readers of sessions that another process has deleted."""
        for session_id in self._store.sessions.missing([log.session_id for log in self.logs.followed()]):
            self.close_log(session_id)

    def _sweep(self) -> None:
        """One process of each host and process-id name space does so: it alone can tell which of its processes are
        gone."""
        if self._store.jobs.take(f"sweep {self.owner.host} {self.owner.boot}", period=SWEEP_SECONDS):
            self.recover(by_lease=self.heartbeat.unbroken_for(self._store.lease_seconds))

    def _close_forgotten(self) -> None:
        """Closes runs of this process whose end could not be stored, and that are not at work any more."""
        at_work = [live.run.id for live in self.live_runs()]
        ending = Ending("interrupted", "interrupted", "The run was interrupted: its end could not be stored.")
        closed = self._store.sweep.interrupt_forgotten(self.owner, at_work=at_work, last_words=ending.encoded)
        self._count_interrupted(closed, "its end could not be stored")

    def _begin_stranded(self) -> None:
        if self._draining or not self._store.jobs.take("begin stranded", period=STRANDED_SECONDS):
            return
        for session_id in self._store.queue.stranded():
            self.start_queued(session_id)

    def _prune(self) -> None:
        if self._store.jobs.take("prune", period=PRUNE_SECONDS):
            self._store.prune()

    def recover(self, *, by_lease: bool = False) -> int:
        """Closes the runs of processes that died, so that no request has to find out first. Maintenance does
        so now and then; a server, once more when it starts. `by_lease`: see `SweepStore.interrupt_dead`."""
        dead = self._store.sweep.interrupt_dead(probe=self.probe, by_lease=by_lease, last_words=last_words)
        self._count_interrupted(dead, "its process died")
        for run in self._store.sweep.cancel_stopped(Ending("cancelled", "cancelled").encoded):
            log.info("run %s was stopped while no process had it", run.id)
            self._metrics.run_ended("cancelled", "cancelled")
        return len(dead)

    def _count_interrupted(self, closed: Sequence[Run], why: str) -> None:
        for run in closed:
            log.warning("run %s of session %s was interrupted: %s", run.id, run.session_id, why)
            self._metrics.run_ended("interrupted", "interrupted")

    @property
    def draining(self) -> bool:
        return self._draining

    def _wait_for_runs(self, seconds: float, *, stop: bool = False) -> None:
        """Until all have ended, those included that are being begun, at most so long. Runs that come to wait for a
        person are let go; the others are stopped, if `stop` says so."""
        deadline = time.monotonic() + seconds
        while True:
            runs = self.live_runs()
            for live in runs:
                if live.waiting_for is not None:
                    live.park()
                elif stop:
                    live.cancellation.cancel("shutdown")
            remaining = deadline - time.monotonic()
            if not (runs or self._starting) or remaining <= 0:
                return
            ended = runs[0].finished if runs else threading.Event()
            ended.wait(min(remaining, DRAIN_LOOK_SECONDS))

    def drain(self, seconds: float, *, stop_within: float = 5.0) -> None:
        """Refuses new runs, gives the live ones `seconds` to finish, then cancels them. Runs that wait for a person
        are let go, however short that is: they go on where the answer arrives."""
        with self._guard:
            self._draining = True
        if runs := self.live_runs():
            log.info("draining: %d runs have %.0f seconds to finish", len(runs), seconds)
        self._wait_for_runs(seconds)
        self._wait_for_runs(stop_within, stop=True)
        for live in self.live_runs():
            if live.waiting_for is not None:
                self._let_go(live)  # its row waits, parked or not
        endings = [self._take_away(live, Ending("cancelled", "cancelled")) for live in self.live_runs()]
        for thread in endings:
            thread.join()
        self.maintenance.stop()
        self._keeper.stop()
        self.heartbeat.stop()
        self.logs.close_all()


def _stopped(live: LiveRun) -> Ending:
    """How a run ends that was cancelled."""
    if live.is_overdue:
        return Ending("failed", TimeReached.code, TimeReached().message)
    return Ending("cancelled", "cancelled")


def describe(live: LiveRun) -> Run:
    """The run as it is at this moment, without asking the database."""
    return Run(
        id=live.run.id,
        session_id=live.run.session_id,
        agent=live.run.agent,
        status=live.status,
        started_at=live.run.started_at,
        owner=live.run.owner,
        lease_expires_at=live.run.lease_expires_at,
        epoch=live.run.epoch,
        waiting_for=live.waiting_for,
        first_event=live.run.first_event,
        options=live.run.options,
    )


def agent_of(run: Run) -> tuple[str, str]:
    key, _, name = run.agent.partition("/")
    return key, name
