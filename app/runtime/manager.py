"""Who may write to a session, and the thread that does.

The lock is taken in `RuntimeManager.start`, on the request thread, and given back in `RuntimeManager._end`,
on the run's thread. In between it belongs to the run, through the whole stream and every tool call.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final, Protocol

from app.agent.context import Resumption
from app.agent.loop import Steps
from app.conversation.blocks import Block
from app.conversation.events import Error, Event, StreamStopped
from app.conversation.queue import QueuedMessage, QueueKind
from app.conversation.run import Answer, Owner, Run, RunStatus
from app.conversation.session import Session
from app.conversation.transcript import Message
from app.errors import (
    AppError,
    BatonLost,
    Draining,
    NotRunning,
    RunCancelled,
    ServerFull,
    SessionBusy,
    StoreUnavailable,
)
from app.logs import log_context
from app.runtime.event_encoder import EventEncoder
from app.runtime.event_log import EndMark, EventLog
from app.runtime.event_logs import EventLogs
from app.runtime.event_reader import EventReader
from app.runtime.keeper import Keeper
from app.runtime.live_run import AT_SAFE_POINT, LiveRun
from app.runtime.owner import is_gone, this_process
from app.runtime.recorder import Recorder
from app.runtime.session_locks import Claim, SessionLocks
from app.runtime.waiting_line import WaitingLine
from app.store.idempotency import KeyUse
from app.store.run_store import Answered
from app.store.store import Store

log = logging.getLogger(__name__)

FINISH_ATTEMPTS: Final = 5
FINISH_PAUSE: Final = 0.5  # seconds, doubled each time
LINE_SECONDS: Final = 0.25  # how often who waits for a session looks, if nobody calls
ABANDON_SECONDS: Final = 10.0  # how long a cancelled run may take to end by itself


@dataclass(frozen=True, slots=True)
class Plan:
    """What was settled about a run before anything was written."""

    agent: str  # "key/name"
    loop: Callable[[LiveRun, Session, Sequence[Message], Resumption | None], Steps]


class Planner(Protocol):
    """Finds agents. Cheap and cached: nothing here may start a tool or talk to a model."""

    def plan(self, key: str, name: str | None) -> Plan:
        """AgentNotFound, InvalidAgentConfig, MissingEnvironment."""
        ...


@dataclass(frozen=True, slots=True)
class _Ending:
    status: RunStatus
    code: str = ""
    error: str = ""

    def encoded(self, run: Run) -> list[bytes]:
        """The last events of a run that ends like this."""
        stopped = StreamStopped(agent_name=_agent(run)[1], session_id=run.session_id)
        events: list[Event] = [Error(error=self.error, code=self.code)] if self.error else []
        encoder = EventEncoder()
        return [payload for event in (*events, stopped) for payload in encoder.encode(event)]


class RuntimeManager:
    """One per process, shared by all its request threads."""

    def __init__(
        self,
        store: Store,
        planner: Planner,
        *,
        max_streams: int,
        max_waiting: int = 12,
        heartbeat_seconds: float,
        approval_seconds: float = 0.0,
        owner: Owner | None = None,
        owner_is_gone: Callable[[Owner], bool] = is_gone,
    ) -> None:
        self._store = store
        self._planner = planner
        self._owner = owner or this_process()
        self._owner_is_gone = owner_is_gone
        self._locks = SessionLocks()
        self._logs = EventLogs()
        self._max_streams = max_streams
        self._guard = threading.Lock()  # of the two below; never held over anything that can block
        self._live: dict[str, LiveRun] = {}
        self._draining = False
        self._line = WaitingLine(limit=max_waiting)
        self._approval_seconds = approval_seconds
        self._keeper = Keeper(
            store,
            self._owner,
            self._logs,
            self.live_runs,
            heartbeat_seconds=heartbeat_seconds,
            look_after=self._look_after,
        )

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
    ) -> LiveRun:
        """Takes the baton, stores the messages and starts the run's thread. Without messages the run works on
        what waits in the session's queue.

        Never waits for another run: SessionBusy. Whatever it raises, nothing was changed and nothing is held.
        Also Draining, ServerFull, SessionNotFound, AgentNotFound, InvalidAgentConfig, MissingEnvironment,
        StalePrecondition, KeyUsed, StoreUnavailable.
        """
        with ExitStack() as undo:
            claim = self._claim(session_id)
            undo.callback(claim.release)
            self._admit()
            plan = self._planner.plan(key, name)
            begun = self._store.runs.begin(
                uuid.uuid4().hex,
                session_id,
                agent=plan.agent,
                owner=self._owner,
                new_messages=messages,
                is_gone=self._owner_is_gone,
                last_words=_last_words,
                visible_to=visible_to,
                expected_position=expected_position,
                key=idempotency,
                options=options,
            )
            undo.callback(self._store.runs.withdraw, begun.run.baton)
            event_log = self._open_log(session_id, begun.next_event, undo)
            live = LiveRun(begun.run, claim, event_log)
            self._start_thread(live, plan, begun.session, None, undo)
            undo.pop_all()
        return live

    def start_when_free(
        self, session_id: str, start: Callable[[], LiveRun], *, seconds: float, gave_up: Callable[[], bool]
    ) -> LiveRun:
        """Calls `start`, but waits in line for the session, at most so many seconds or until the caller gives up."""
        deadline = time.monotonic() + seconds
        with self._line.ticket(session_id) as ticket:
            while True:
                try:
                    if ticket.is_first:
                        return start()
                except SessionBusy:
                    if time.monotonic() >= deadline:
                        raise
                if gave_up() or time.monotonic() >= deadline:
                    raise SessionBusy(run=self._store.runs.live_run(session_id))
                ticket.wait(max(0.0, min(LINE_SECONDS, deadline - time.monotonic())))

    def _claim(self, session_id: str) -> Claim:
        try:
            return self._locks.claim(session_id)
        except SessionBusy:
            live = self.find(session_id)
            if live is None:
                raise
            raise SessionBusy(run=describe(live), busy_code=live.busy_code) from None

    def _admit(self) -> None:
        """Draining, ServerFull. The bound is soft by the few requests that pass here at the same moment."""
        with self._guard:
            if self._draining:
                raise Draining()
            if len(self._live) >= self._max_streams:
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
        ending = _Ending("failed", "internal", "The run failed; the server's log knows more.")
        with log_context(session=session.id, run=live.run.id):
            try:
                log.info("run started by agent %s", plan.agent)
                rows = self._store.sessions.messages(session.id)
                encoder = EventEncoder()
                Recorder(self._store, live, encoder).follow(plan.loop(live, session, rows, resumption))
                ending = _Ending("finished")
            except RunCancelled:
                ending = _Ending("cancelled", "cancelled")
            except BatonLost as lost:
                live.lose()
                ending = _Ending("interrupted", lost.code, lost.message)
            except AppError as error:
                ending = _Ending("failed", error.code, error.message)
            except Exception:
                log.exception("the run failed")
            finally:
                self._end(live, ending)

    def _end(self, live: LiveRun, ending: _Ending) -> None:
        """Finishes the run's row, frees the session, and then shows the end; once, whoever comes first."""
        if not live.begin_ending():
            return
        payloads = ending.encoded(live.run)
        live.log.seal(payloads, live.end)
        last_number = live.log.next_number - 1
        queued = False
        try:
            stored, queued = (False, False) if live.lost else self._finish(live, ending, last_number)
            if not stored:
                live.log.unnumber(payloads)
        finally:
            live.claim.release()
            self._forget(live)
            live.log.show_end(live.end, last_number)
            live.finished.set()
            self._logs.release(live.log)
            log.info("run %s%s", ending.status, f" ({ending.code})" if ending.code else "")
            self._line.call_next(live.run.session_id)
        if queued and ending.status == "finished":
            self._start_queued(live.run.session_id)

    def _finish(self, live: LiveRun, ending: _Ending, last_number: int) -> tuple[bool, bool]:
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
                    )
                    live.log.mark_written(last_number)
                    return True, queued
                except BatonLost:
                    if attempt and self._store.runs.get(live.run.id).status == ending.status:
                        return True, False  # the attempt before was committed; only its answer was lost
                    log.warning("another process has taken this run over")
                    return False, False
                except StoreUnavailable:
                    log.warning("the end of the run can't be stored (attempt %d)", attempt + 1, exc_info=True)
                    time.sleep(pause)
                    pause *= 2
                except Exception:
                    log.exception("the end of the run could not be stored")
                    return False, False
        return False, False

    def _forget(self, live: LiveRun) -> None:
        with self._guard:
            if self._live.get(live.run.session_id) is live:
                del self._live[live.run.session_id]

    # ---- acting on a run

    def answer(self, session_id: str, answer: Answer, *, kinds: Sequence[str], call_id: str = "") -> None:
        """Answers what the session's run waits for, wherever it runs; a run whose process died while it waited
        goes on here. NothingToAnswer, AnsweredAlready."""
        live = self.find(session_id)
        if live is not None:
            answered = self._store.runs.answer(session_id, answer, kinds=kinds, call_id=call_id)
            if live.run.id == answered.run.id:
                live.deliver(answered.answer)
            return
        run = self._store.runs.live_run(session_id)
        with ExitStack() as undo:
            claim = self._claim(session_id)
            undo.callback(claim.release)
            plan = self._planner.plan(*_agent(run)) if run is not None else None
            answered = self._store.runs.answer(
                session_id,
                answer,
                kinds=kinds,
                call_id=call_id,
                adopter=self._owner if plan is not None else None,
                is_gone=self._owner_is_gone,
            )
            if answered.adopted and plan is not None:
                self._go_on(answered, claim, plan, undo)
                undo.pop_all()

    def _go_on(self, answered: Answered, claim: Claim, plan: Plan, undo: ExitStack) -> None:
        """Starts a thread for a run that another process had begun."""
        run = answered.run
        undo.callback(self._store.runs.finish, run.baton, "failed", code="internal")
        session = self._store.sessions.get(run.session_id)
        ledger = self._store.runs.ledger(run.session_id)
        event_log = self._open_log(run.session_id, self._store.sessions.next_event(run.session_id), undo)
        log.info("run %s goes on here", run.id)
        resumption = Resumption(ledger, answered.question, answered.answer)
        self._start_thread(LiveRun(run, claim, event_log), plan, session, resumption, undo)

    def _open_log(self, session_id: str, next_event: int, undo: ExitStack) -> EventLog:
        event_log = self._logs.open(session_id, next_event)
        undo.callback(self._logs.release, event_log)
        event_log.continue_at(next_event)
        return event_log

    def steer(
        self,
        session_id: str,
        contents: Sequence[Sequence[Block]],
        *,
        by: str,
        idempotency: KeyUse | None = None,
    ) -> list[QueuedMessage]:
        """Messages for the run at work, which enter at its next safe point. NotRunning, QueueFull, KeyUsed."""
        new = _queued(session_id, "steer", contents, by)
        self._store.queue.add(new, needs_run=True, key=idempotency)
        return new

    def follow_up(
        self,
        session_id: str,
        contents: Sequence[Sequence[Block]],
        *,
        by: str,
        idempotency: KeyUse | None = None,
    ) -> tuple[list[QueuedMessage], bool]:
        """Messages that get a turn of their own when the run at work would end; if none is at work, the agent
        that ran last begins with them. Says whether a run is at work on the session now. QueueFull, KeyUsed."""
        new = _queued(session_id, "followup", contents, by)
        running = self._store.queue.add(new, needs_run=False, key=idempotency)
        return new, running or self._start_queued(session_id)

    def _start_queued(self, session_id: str) -> bool:
        """Starts a run for what waits in the queue; says whether a run is at work now."""
        last = self._store.runs.recent(session_id=session_id, limit=1)
        if not last:
            return False
        key, name = _agent(last[0])
        try:
            self.start(session_id, key=key, name=name, messages=())
        except SessionBusy:
            return True  # and it will find them
        except AppError as error:
            log.warning("what waits for session %s was not begun with: %s", session_id, error.message)
            return False
        return True

    def cancel(
        self,
        session_id: str,
        *,
        by: str,
        run_id: str | None = None,
        wait: float = 0,
        at_safe_point: bool = False,
    ) -> Run:
        """Asks the session's run to stop and waits up to `wait` seconds for it to have ended.

        `at_safe_point` lets the tool calls under way finish first. NotRunning if there is none, or if `run_id`
        names another one than the live one.
        """
        run = self._store.runs.live_run(session_id)
        if run is None or (run_id is not None and run_id != run.id):
            raise NotRunning()
        live = self.find(session_id)
        if live is not None and live.run.id == run.id:
            self._stop(live, by, at_safe_point)
            live.finished.wait(wait)
        else:
            asked = f"{AT_SAFE_POINT}{by}" if at_safe_point else by
            self._store.runs.request_stop(run.id, asked, is_gone=self._owner_is_gone)
            self._await_end(run.id, wait)
        return self._store.runs.get(run.id)

    def interrupt(self, session_id: str, *, by: str) -> None:
        """Asks whatever run the session has to stop; it is all right if there is none."""
        try:
            self.cancel(session_id, by=by)
        except NotRunning:
            pass

    def _stop(self, live: LiveRun, by: str, at_safe_point: bool) -> None:
        if at_safe_point and live.waiting_for is None:
            live.stops_at_safe_point = True
        else:
            live.cancellation.cancel(by)

    def _await_end(self, run_id: str, seconds: float) -> None:
        """Of a run in another process."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self._store.runs.get(run_id).live:
            time.sleep(LINE_SECONDS / 5)

    def release(self, run_id: str, *, by: str, reason: str) -> Run:
        """Takes the baton from a dead or stuck holder, for good. RunNotFound, NotRunning."""
        words = f"The session was taken from this run by {by}" + (f": {reason}" if reason else ".")
        run = self._store.runs.release(run_id, words=words, last_words=_last_words)
        log.warning("run %s was released by %s: %s", run_id, by, reason)
        live = self.find(run.session_id)
        if live is not None and live.run.id == run_id:
            live.lose()
            self._end(live, _Ending("interrupted", "interrupted", words))
        return self._store.runs.get(run_id)

    def stop(self, live: LiveRun, by: str) -> None:
        """Asks this very run to stop; does not wait."""
        live.cancellation.cancel(by)

    def delete(self, session_id: str, *, by: str, wait: float) -> bool:
        """Stops the session's run and deletes the session; False if the run has not ended within `wait`
        seconds (it can't write any more all the same)."""
        live = self.find(session_id)
        if live is not None:
            live.cancellation.cancel(by)
            live.finished.wait(wait)
        self._store.sessions.delete(session_id)
        self._logs.close(session_id)
        return live is None or live.finished.is_set()

    # ---- looking

    def find(self, session_id: str) -> LiveRun | None:
        """The session's run in this process. Looking takes no lock that anybody waits for."""
        with self._guard:
            return self._live.get(session_id)

    def live_runs(self) -> list[LiveRun]:
        with self._guard:
            return list(self._live.values())

    def read_run(self, live: LiveRun) -> EventReader:
        """A reader of one run's events, from the first to the last."""
        event_log = self._logs.open(live.run.session_id, live.first_event)
        return EventReader(
            event_log, self._logs, self._store.events, after=live.first_event - 1, end=live.end
        )

    def read_past_run(self, run: Run) -> EventReader:
        """A reader of a run's events that this process does not work on: from the store, and as they come."""
        self._keeper.ensure_running()
        end = EndMark()
        end.number = run.last_event
        event_log = self._logs.open(run.session_id, self._store.events.bounds(run.session_id)[1] + 1)
        return EventReader(
            event_log,
            self._logs,
            self._store.events,
            after=run.first_event - 1,
            end=end,
            find_end=lambda: self._store.runs.get(run.id).last_event,
        )

    def read_session(self, session_id: str, after: int | None) -> EventReader:
        """A reader of a session's events after a number; None: from the beginning of the run that is live,
        or whatever comes next. SessionNotFound, Draining."""
        if self._draining:
            raise Draining()
        self._keeper.ensure_running()
        event_log = self._logs.open(session_id, self._store.events.bounds(session_id)[1] + 1)
        live = self.find(session_id)
        if after is None:
            after = (live.first_event if live is not None else event_log.next_number) - 1
        return EventReader(event_log, self._logs, self._store.events, after=after)

    # ---- the process's own life

    def _look_after(self) -> None:
        """What has to be noticed without anybody asking: runs that don't stop, questions nobody answers."""
        for live in self.live_runs():
            since = live.cancellation.since
            if live.cancellation.is_set() and since and time.monotonic() - since > ABANDON_SECONDS:
                log.warning("run %s does not stop; its session is taken away from it", live.run.id)
                self._end(live, _Ending("cancelled", "cancelled"))
        if self._approval_seconds:
            self._expire_questions()

    def _expire_questions(self) -> None:
        for run in self._store.runs.waiting():
            question = run.waiting_for
            if question is None or time.time() - question.asked_at < self._approval_seconds:
                continue
            try:
                answer = Answer("expired", reason="nobody answered in time", by="server")
                self.answer(run.session_id, answer, kinds=(question.kind,), call_id=question.call_id)
            except AppError as error:
                log.info("the question of run %s did not expire: %s", run.id, error.message)

    def recover(self) -> int:
        """At start: closes the runs of processes that died here, so that their sessions are free at once."""
        dead = self._store.runs.interrupt_dead(is_gone=self._owner_is_gone, last_words=_last_words)
        for run in dead:
            log.warning("run %s of session %s was interrupted: its process died", run.id, run.session_id)
        return len(dead)

    @property
    def draining(self) -> bool:
        return self._draining

    def drain(self, seconds: float, *, stop_within: float = 5.0) -> None:
        """Refuses new runs, gives the live ones `seconds` to finish, then cancels them."""
        with self._guard:
            self._draining = True
        _wait_for(self.live_runs(), time.monotonic() + seconds)
        remaining = self.live_runs()
        for live in remaining:
            live.cancellation.cancel("shutdown")
        _wait_for(remaining, time.monotonic() + stop_within)
        for live in self.live_runs():
            log.warning("run %s does not stop; its session is taken away from it", live.run.id)
            self._end(live, _Ending("cancelled", "cancelled"))
        self._keeper.stop()
        self._logs.close_all()


def _queued(
    session_id: str, kind: QueueKind, contents: Sequence[Sequence[Block]], by: str
) -> list[QueuedMessage]:
    now = time.time()
    return [
        QueuedMessage(uuid.uuid4().hex, session_id, kind, tuple(content), now, by) for content in contents
    ]


def _last_words(run: Run) -> list[bytes]:
    """What the readers of a run are told when its process has died."""
    words = "The run was interrupted: the process that it ran in died."
    return _Ending("interrupted", "interrupted", words).encoded(run)


def _agent(run: Run) -> tuple[str, str]:
    key, _, name = run.agent.partition("/")
    return key, name


def _wait_for(runs: Sequence[LiveRun], deadline: float) -> None:
    for live in runs:
        live.finished.wait(max(0.0, deadline - time.monotonic()))


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
    )
