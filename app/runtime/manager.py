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
from typing import Any, Final

from app.agent.context import Resumption
from app.conversation.audit import AuditEntry
from app.conversation.events import SessionExited
from app.conversation.run import Owner, Run
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
)
from app.runtime.ending import LOST, Ending, last_words
from app.runtime.event_encoder import EventEncoder
from app.runtime.event_log import EventLog
from app.runtime.event_logs import EventLogs
from app.runtime.keeper import Every, Keeper
from app.runtime.live_run import LiveRun, RunParked
from app.runtime.origin import Origin
from app.runtime.owner import is_gone, this_process
from app.runtime.plan import Plan, Planner
from app.runtime.recorder import Recorder
from app.runtime.session_locks import Claim, SessionLocks
from app.runtime.stream_places import StreamPlaces
from app.store.idempotency import KeyUse
from app.store.run_store import Answered, Begun
from app.store.store import Store
from app.telemetry.telemetry import Telemetry
from app.telemetry.tracing import Span

log = logging.getLogger(__name__)

FINISH_ATTEMPTS: Final = 5
FINISH_PAUSE: Final = 0.5  # seconds, doubled each time
LINE_SECONDS: Final = 0.25  # how often who waits for a session looks, if nobody calls
STOPPING_SECONDS: Final = 1.0  # how long a new run waits for one that is being stopped
ABANDON_SECONDS: Final = 10.0  # how long a cancelled run may take to end by itself
SWEEP_SECONDS: Final = 5.0  # how often one looks for runs of processes that died
STRANDED_SECONDS: Final = 15.0  # and for messages that they did not begin with
LOST_SECONDS: Final = 1.0  # and one whose session another process has, so that nobody wants its results


class RuntimeManager:
    """One per process, shared by all its request threads."""

    def __init__(
        self,
        store: Store,
        planner: Planner,
        *,
        max_streams: int,
        heartbeat_seconds: float,
        owner: Owner | None = None,
        owner_is_gone: Callable[[Owner], bool] = is_gone,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._store = store
        self._telemetry = telemetry or Telemetry()
        self._metrics = self._telemetry.metrics
        self._planner = planner
        self.owner = owner or this_process()
        self.owner_is_gone = owner_is_gone
        self._locks = SessionLocks()
        self.logs = EventLogs()
        self._max_streams = max_streams
        self.places = StreamPlaces(max_streams)
        self._guard = threading.Lock()  # of the two below; never held over anything that can block
        self._live: dict[str, LiveRun] = {}
        self._draining = False
        self._duties: list[Callable[[], None]] = []
        self._on_free: list[Callable[[str], None]] = []
        self._sweep = Every(SWEEP_SECONDS)
        self._stranded = Every(STRANDED_SECONDS)
        self._keeper = Keeper(
            store,
            self.logs,
            self.live_runs,
            heartbeat_seconds=heartbeat_seconds,
            look_after=self._look_after,
            metrics=self._metrics,
        )

    def every_second(self, duty: Callable[[], None]) -> None:
        """Has this called about once a second, on the housekeeping thread."""
        self._duties.append(duty)

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
        idempotency: KeyUse | None = None,
        options: Mapping[str, Any] | None = None,
        audit: AuditEntry | None = None,
        headers: Mapping[str, str] | None = None,
        model: str | None = None,
    ) -> LiveRun:
        """Takes the baton, stores the messages and starts the run's thread. Without messages the run works on
        what waits in the session's queue. A `model` ("provider/name") is what the session's runs ask from now
        on; empty: each agent's own.

        Never waits for another run: SessionBusy. Whatever it raises, nothing was changed and nothing is held.
        Also Draining, ServerFull, SessionNotFound, AgentNotFound, InvalidAgentConfig, MissingEnvironment,
        StalePrecondition, KeyUsed, BudgetReached, TooManyRuns, StoreUnavailable.
        """
        asked_at = time.monotonic()
        with ExitStack() as undo:
            claim = self._claim_soon(session_id)
            undo.callback(claim.release)
            self.admit()
            plan = self.plan_of(key, name)
            begun = self._store.runs.begin(
                uuid.uuid4().hex,
                session_id,
                agent=plan.agent,
                owner=self.owner,
                new_messages=messages,
                is_gone=self.owner_is_gone,
                last_words=last_words,
                visible_to=visible_to,
                expected_position=expected_position,
                key=idempotency,
                options=options,
                audit=audit,
                model=model,
            )
            former = None if model is None else begun.former_model
            undo.callback(self._store.runs.withdraw, begun.run.baton, model=former)
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
        self._start_thread(live, plan, begun.session, None, undo)
        return live

    def _claim_soon(self, session_id: str) -> Claim:
        """`claim`; but a run that is being stopped gets a moment to end, so that who hangs up can talk again at
        once."""
        live = self.find(session_id)
        if live is not None and live.busy_code == "stopping":
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

    def admit(self) -> None:
        """Draining, ServerFull. The bound is soft by the few requests that pass here at the same moment."""
        with self._guard:
            if self._draining:
                raise Draining()
            if len(self._live) >= self._max_streams or self.places.full:
                raise ServerFull()

    def _start_thread(
        self, live: LiveRun, plan: Plan, session: Session, resumption: Resumption | None, undo: ExitStack
    ) -> None:
        self._keeper.ensure_running()
        with self._guard:
            self._live[session.id] = live
        undo.callback(self._forget, live)
        thread = threading.Thread(
            target=self._work,
            args=(live, plan, session, resumption),
            name=f"run-{live.run.id[:8]}",
            daemon=True,
        )
        try:
            thread.start()
        except RuntimeError as error:  # no more threads to be had
            raise ServerFull() from error

    # ---- the run's thread

    def _work(self, live: LiveRun, plan: Plan, session: Session, resumption: Resumption | None) -> None:
        """Follows the run; whatever happens, the session is free afterwards."""
        ending: Ending | None = Ending("failed", "internal", "The run failed; the server's log knows more.")
        span = Span()
        with ExitStack() as observed:
            try:
                span = observed.enter_context(self._observed(live, plan.agent))
                if resumption is None:
                    self._metrics.run_started()
                log.info("run started by agent %s", plan.agent)
                rows = self._store.sessions.messages(session.id)
                recorder = Recorder(self._store, live, self._telemetry)
                recorder.follow(plan.loop(live, session, rows, resumption))
                ending = Ending("finished")
            except RunParked:
                ending = None
            except RunCancelled:
                ending = Ending("cancelled", "cancelled")
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
        """Finishes the run's row, frees the session, and then shows the end; once, whoever comes first."""
        if not live.begin_ending():
            return
        told = self._told_elsewhere(live) if live.lost else None
        payloads = _told(live.run, ending) if told is None else []
        live.log.seal(payloads, live.end)
        last_number = live.log.next_number - 1 if told is None else told
        stored = queued = False
        try:
            stored, queued = (False, False) if live.lost else self._finish(live, ending, last_number)
            if payloads and not stored:
                live.log.unnumber(payloads)
            self._count_end(live, ending, stored)
        finally:
            live.claim.release()
            self._forget(live)
            live.log.show_end(live.end, last_number)
            live.finished.set()
            self.logs.release(live.log)
            log.info("run %s%s", ending.status, f" ({ending.code})" if ending.code else "")
            for tell in self._on_free:
                tell(live.run.session_id)
        if queued and ending.status == "finished":
            self.start_queued(live.run.session_id)

    def _count_end(self, live: LiveRun, ending: Ending, stored: bool) -> None:
        """A run is counted by whoever ends it in the database."""
        if stored:
            self._metrics.run_ended(ending.status, ending.code, time.monotonic() - live.asked_at)
        elif live.lost:
            self._metrics.lease_lost()

    def _told_elsewhere(self, live: LiveRun) -> int | None:
        """The number of the last event of a run that somebody else has ended: its readers find it in the store."""
        try:
            return self._store.runs.get(live.run.id).last_event
        except AppError:
            return None

    def _let_go(self, live: LiveRun) -> None:
        """Of a run that waits for a person, for this process is going away: its row goes on waiting."""
        if not live.begin_ending():
            return
        try:
            with live.log.writing:
                segment = live.log.unwritten(live.run.id)
                self._store.runs.park(
                    live.baton, segments=[segment] if segment else [], next_event=live.log.next_number
                )
            self._metrics.events_stored(segment.count if segment else 0)
        except (AppError, BatonLost):
            log.warning("a waiting run could not be let go; its lease will run out", exc_info=True)
        finally:
            live.claim.release()
            self._forget(live)
            live.finished.set()
            self.logs.release(live.log)
            log.info("the run waits for an answer; whichever process gets it goes on")

    def _finish(self, live: LiveRun, ending: Ending, last_number: int) -> tuple[bool, bool]:
        """Stores how the run ended; says whether that worked, and whether messages wait in the queue.

        If the database stays away, the lease runs out, and the session's next run closes this one.
        """
        pause = FINISH_PAUSE
        with live.log.writing:
            segment = live.log.unwritten(live.run.id)
            for attempt in range(FINISH_ATTEMPTS):
                try:
                    queued = self._store.runs.finish(
                        live.baton,
                        ending.status,
                        code=ending.code,
                        error=ending.error,
                        segments=[segment] if segment else [],
                        next_event=last_number + 1,
                        stopped_by=live.cancellation.by or None,
                    )
                    live.log.mark_written(last_number)
                    self._metrics.events_stored(segment.count if segment else 0)
                    return True, queued
                except BatonLost:
                    if attempt and self._is_stored(live.run, ending):
                        return True, False  # the attempt before was committed; only its answer was lost
                    log.warning("another process has taken this run over")
                    self._metrics.lease_lost()
                    return False, False
                except StoreUnavailable:
                    log.warning("the end of the run can't be stored (attempt %d)", attempt + 1, exc_info=True)
                    time.sleep(pause)
                    pause *= 2
                except Exception:
                    log.exception("the end of the run could not be stored")
                    return False, False
        return False, False

    def _is_stored(self, run: Run, ending: Ending) -> bool:
        try:
            return self._store.runs.get(run.id).status == ending.status
        except AppError:
            return False

    def _forget(self, live: LiveRun) -> None:
        with self._guard:
            if self._live.get(live.run.session_id) is live:
                del self._live[live.run.session_id]

    def go_on(self, answered: Answered, claim: Claim, plan: Plan, undo: ExitStack) -> None:
        """Starts a thread for a run that another process had begun."""
        run = answered.run
        undo.callback(self._store.runs.finish, run.baton, "failed", code="internal")
        session = self._store.sessions.get(run.session_id)
        ledger = self._store.records.ledger(run.session_id)
        event_log = self._open_log(run.session_id, self._store.sessions.next_event(run.session_id), undo)
        log.info("run %s goes on here", run.id)
        resumption = Resumption(ledger, answered.question, answered.answer)
        origin = Origin.of_this_thread(self._telemetry.tracing)
        self._start_thread(LiveRun(run, claim, event_log, origin=origin), plan, session, resumption, undo)

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
        """For readers: events of other processes are brought by the housekeeper."""
        self._keeper.ensure_running()

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

    def _look_after(self) -> None:
        """What has to be noticed without anybody asking: runs that don't stop, questions nobody answers."""
        for live in self.live_runs():
            since = live.cancellation.since
            patience, ending = ABANDON_SECONDS, Ending("cancelled", "cancelled")
            if live.lost:
                patience, ending = LOST_SECONDS, Ending("interrupted", BatonLost.code, BatonLost().message)
            if live.cancellation.is_set() and since and time.monotonic() - since > patience:
                log.warning("run %s does not stop; its session is taken away from it", live.run.id)
                self.end(live, ending)
        for session_id in self._store.sessions.missing([log.session_id for log in self.logs.followed()]):
            self.close_log(session_id)  # another process has deleted it
        if self._sweep.due():
            self.recover()
        if self._stranded.due() and not self._draining:
            for session_id in self._store.queue.stranded():
                self.start_queued(session_id)
        for duty in self._duties:
            duty()

    def recover(self) -> int:
        """Closes the runs of processes that died, so that nobody's request has to find out first. Housekeeping
        does so now and then; a server, once more when it starts."""
        dead = self._store.runs.interrupt_dead(is_gone=self.owner_is_gone, last_words=last_words)
        for run in dead:
            log.warning("run %s of session %s was interrupted: its process died", run.id, run.session_id)
            self._metrics.run_ended("interrupted", "interrupted")
        return len(dead)

    @property
    def draining(self) -> bool:
        return self._draining

    def _wait_for_runs(self, seconds: float) -> None:
        """Until all have ended, at most so long; runs that come to wait for a person are let go."""
        deadline = time.monotonic() + seconds
        while (runs := self.live_runs()) and (remaining := deadline - time.monotonic()) > 0:
            for live in runs:
                if live.waiting_for is not None:
                    live.park()
            runs[0].finished.wait(min(remaining, 0.1))

    def drain(self, seconds: float, *, stop_within: float = 5.0) -> None:
        """Refuses new runs, gives the live ones `seconds` to finish, then cancels them. Runs
        that wait for a person are let go: they go on where the answer arrives."""
        with self._guard:
            self._draining = True
        if runs := self.live_runs():
            log.info("draining: %d runs have %.0f seconds to finish", len(runs), seconds)
        self._wait_for_runs(seconds)
        for live in self.live_runs():
            live.cancellation.cancel("shutdown")
        self._wait_for_runs(stop_within)
        for live in self.live_runs():
            log.warning("run %s does not stop; its session is taken away from it", live.run.id)
            self.end(live, Ending("cancelled", "cancelled"))
        self._keeper.stop()
        self.logs.close_all()


def _told(run: Run, ending: Ending) -> list[bytes]:
    """The run's last events; none if they can't be encoded, which must not keep the session from being free."""
    try:
        return ending.encoded(run)
    except Exception:
        log.exception("the end of the run could not be told")
        return []


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
