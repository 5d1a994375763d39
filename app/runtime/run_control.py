"""Requests of people to a run: answers, steers, follow-ups, stops. State is rows, so any process may be asked; the
process that holds the run is told, or finds it at its next look."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Literal

from app.conversation.blocks import Block
from app.conversation.queued_message import QueuedMessage, QueueKind
from app.conversation.run import AT_SAFE_POINT, Answer, Run
from app.conversation.run_outcome import interrupted
from app.errors import AppError, HolderGone, NotRunning
from app.runtime.live_run import LiveRun
from app.runtime.live_runs import LiveRuns
from app.runtime.manager import RuntimeManager
from app.runtime.periodic_tasks import PeriodicTasks
from app.runtime.run_claims import Claims
from app.runtime.run_plan import Planner
from app.runtime.session_line import SessionLine
from app.runtime.session_locks import SessionLocks
from app.runtime.streams.event_log import EventLogs
from app.runtime.waiting_line import WaitingLine
from app.store.answer_store import Answered
from app.store.audit_notes import requested_by
from app.store.idempotency import KeyUse, Outcome
from app.store.store import Store

log = logging.getLogger(__name__)

StopOutcome = Literal["accepted", "already_cancelling", "not_active"]

STARTING_SECONDS: Final = 2.0  # how long a retry waits for the request that it may be the retry of
LOOK_SECONDS: Final = 0.01
EXPIRE_SECONDS: Final = 1.0  # how often one process of the cluster looks for questions that nobody answered
ANSWER_SECONDS: Final = 2.0  # how long an answer waits for others that are about to be refused, or to answer


class RunControl:
    """Shared by all request threads. `max_waiting` bounds the requests that wait for a session, since each
    holds a thread; `approval_seconds` is how long a question stays open, 0 for as long as it takes."""

    def __init__(
        self,
        store: Store,
        planner: Planner,
        runs: LiveRuns,
        manager: RuntimeManager,
        claims: Claims,
        locks: SessionLocks,
        logs: EventLogs,
        tasks: PeriodicTasks,
        *,
        max_waiting: int = 12,
        share: float = 1.0,
        approval_seconds: float = 0.0,
        forget: Callable[[str], None] = lambda _session: None,
    ) -> None:
        """`forget` is told of each session that was deleted."""
        self._store = store
        self._planner = planner
        self._runs = runs
        self._manager = manager
        self._claims = claims
        self._locks = locks
        self._logs = logs
        self.line = SessionLine(store.waiting_line, store.runs, manager.start, limit=max_waiting, share=share)
        # a line of its own: answers must not stand behind requests that wait for the run; they wait for moments only
        self._answers = WaitingLine(limit=1000, share=share)
        self._approval_seconds = approval_seconds
        self._forget = forget
        locks.when_free(self.line.call_next)
        if approval_seconds:
            tasks.every(EXPIRE_SECONDS, self._expire_questions_for_all)

    def answer(
        self,
        session_id: str,
        answer: Answer,
        *,
        kinds: Sequence[str],
        call_id: str = "",
        name: str = "",
    ) -> None:
        """Answers what the session's run waits for, wherever it runs; a run whose process died while it waited
        goes on here. NothingToAnswer, AnsweredAlready."""
        give = partial(self._answer, session_id, answer, kinds=kinds, call_id=call_id)
        self._answers.in_turn(session_id, give, seconds=ANSWER_SECONDS, name=name)

    def _answer(
        self,
        session_id: str,
        answer: Answer,
        *,
        kinds: Sequence[str],
        call_id: str,
    ) -> None:
        """SessionBusy while a thread of this process holds the session for another answer or a new run, or is about to
        let go of the run."""
        live = self._runs.find(session_id)
        if live is not None:
            answered = self._store.answers.answer(
                session_id, answer, kinds=kinds, call_id=call_id, is_held_here=True
            )
            if live.run.id == answered.run.id:
                live.deliver(answered.answer)
            return
        give = partial(
            self._store.answers.answer,
            session_id,
            answer,
            kinds=kinds,
            call_id=call_id,
        )
        try:
            give()
        except HolderGone as gone:
            self._adopt(gone.run, partial(give, adopter=self._claims.owner))

    def _adopt(self, run: Run, take: Callable[[], Answered]) -> None:
        """Goes on here with a run that waits without a process, unless it has one after all."""
        plan = self._planner.plan(*run.key_and_name)
        claim = partial(self._claims.adoption, run, take)
        self._manager.launch(run.session_id, plan, claim, run_id=run.id)

    def steer(
        self,
        messages: Sequence[QueuedMessage],
        *,
        idempotency: KeyUse | None = None,
    ) -> None:
        """Stores messages for the run at work, which enter at its next safe point. NotRunning, QueueFull,
        KeyUsed."""
        self._store.queue.add(messages, needs_run=True, key=idempotency)

    def follow_up(
        self,
        messages: Sequence[QueuedMessage],
        *,
        agent: str | None = None,
        idempotency: KeyUse | None = None,
    ) -> bool:
        """Stores messages that get a turn of their own when the run at work would end; if none is at work, the
        agent that ran last begins with them. Says whether a run is at work on the session now. QueueFull,
        KeyUsed; SessionBusy if they are meant for another `agent` (see `QueueStore.add`)."""
        running = self._store.queue.add(messages, needs_run=False, agent=agent, key=idempotency)
        return running or self.begin_queued(messages[0].session_id)

    def begin_queued(self, session_id: str) -> bool:
        """Begins with what waits in the session's queue, if no run is at work; says whether one is now."""
        with requested_by(None):  # the run is for whatever waits in the queue
            return self._manager.start_queued(session_id)

    def outcome(self, session_id: str, use: KeyUse) -> Outcome | None:
        """The outcome that the key of a request stands for, when the request found the session busy. A request that
        has claimed the session, but not begun its run yet, gets a moment to show whether it is the same request."""
        deadline = time.monotonic() + STARTING_SECONDS
        while True:
            starting = self._runs.find(session_id) is None and self._locks.is_held(session_id)
            outcome = self._store.idempotency.outcome(use)
            if outcome is not None or not starting or time.monotonic() >= deadline:
                return outcome
            time.sleep(LOOK_SECONDS)

    def cancel(
        self,
        session_id: str,
        *,
        by: str,
        run_id: str | None = None,
        wait: float = 0,
        at_safe_point: bool = False,
    ) -> Run:
        """Asks the session's run to stop and waits up to `wait` seconds for it to have ended; with it, unless a
        `run_id` says that it alone is meant, the session's background tasks.

        `at_safe_point` lets the tool calls under way finish first, and touches no background task. If `run_id` names
        one that has ended already, and none came after it, there is nothing to do. NotRunning if there is no run, or
        another one than that.
        """
        run = self._store.runs.live_run(session_id)
        if run is None and run_id is not None:
            return self._ended(session_id, run_id)
        if run is not None and run_id not in (None, run.id):
            raise NotRunning()
        if run_id is None and not at_safe_point:
            run = self._stop_all(session_id, run, by)
        if run is None:
            raise NotRunning()
        return self._end_soon(run, by=by, wait=wait, at_safe_point=at_safe_point)

    def outcome_of_stop(self, session_id: str, run_id: str | None = None) -> StopOutcome:
        """How the session's run, or that one, takes a stop that is asked for now. A stop that another process has heard
        of and not written down is not known here."""
        run = self._store.runs.live_run(session_id)
        if run is None:
            return "not_active" if run_id else "accepted"  # by the background tasks, if there are any
        if run_id not in (None, run.id):
            return "not_active"
        live = self._runs.find(session_id)
        is_stopping = live.is_stopping if live is not None and live.run.id == run.id else run.is_stopping
        return "already_cancelling" if is_stopping else "accepted"

    def _stop_all(self, session_id: str, run: Run | None, by: str) -> Run | None:
        """Asks the run, if there is one, and the session's background tasks to stop; the last one asked, or rather
        the run."""
        if run is not None:
            self._end_soon(run, by=by, wait=0)
        tasks = self._store.background.live_runs(session_id)
        for task in tasks:
            self._end_soon(task, by=by, wait=0)
        return run or (tasks[-1] if tasks else None)

    def _ended(self, session_id: str, run_id: str) -> Run:
        """The session's last run, if it is that one."""
        last = self._store.runs.recent(session_id=session_id, limit=1)
        if not last or last[0].id != run_id:
            raise NotRunning()
        return last[0]

    def _end_soon(self, run: Run, *, by: str, wait: float, at_safe_point: bool = False) -> Run:
        live = self._runs.find(run.session_id)
        if live is not None and live.run.id == run.id:
            self._stop(live, by, at_safe_point)
            live.finished.wait(wait)
        else:
            self._store.runs.request_stop(run.id, f"{AT_SAFE_POINT}{by}" if at_safe_point else by)
            self._claims.await_end(run.id, wait)
        return self._store.runs.get(run.id)

    def interrupt(self, session_id: str, *, by: str) -> Run | None:
        """Asks whatever run the session has to stop, and says which; it is all right if there is none. Background
        tasks go on."""
        run = self._store.runs.live_run(session_id)
        return None if run is None else self._end_soon(run, by=by, wait=0)

    def _stop(self, live: LiveRun, by: str, at_safe_point: bool) -> None:
        if at_safe_point and live.waiting_for is None:
            live.stops_at_safe_point = True
        else:
            live.cancellation.cancel(by)

    def release(self, run_id: str, *, by: str, reason: str) -> Run:
        """Takes the baton from a dead or stuck holder, for good. RunNotFound, NotRunning."""
        words = f"The session was taken from this run by {by}" + (f": {reason}" if reason else ".")
        outcome = interrupted(words)
        run = self._store.runs.release(run_id, outcome, reason=reason)
        log.warning("run %s was released by %s: %s", run_id, by, reason)
        live = self._runs.find(run.session_id)
        if live is not None and live.run.id == run_id:
            live.lose()
            self._manager.end(live, outcome)
        return self._store.runs.get(run_id)

    def stop(self, live: LiveRun, by: str) -> None:
        """Asks this very run to stop; does not wait."""
        live.cancellation.cancel(by)

    def delete(self, session_id: str, *, by: str, wait: float) -> bool:
        """Stops the session's run and its background tasks, wherever they are, and deletes the session; False if the
        run has not ended within `wait` seconds (none of them can write any more all the same)."""
        run = self._store.runs.live_run(session_id)
        tasks = self._store.background.live_runs(session_id)
        for each in tasks:
            self._end_soon(each, by=by, wait=0)
        if run is not None:
            run = self._end_soon(run, by=by, wait=wait)
        self._store.sessions.delete(session_id)
        self._forget(session_id)
        self._logs.close_deleted(session_id)
        return run is None or not run.live

    def _expire_questions_for_all(self) -> None:
        if self._store.jobs.take("expire questions", period=EXPIRE_SECONDS):
            self.expire_questions()

    def expire_questions(self) -> None:
        for run in self._store.runs.unanswered(self._approval_seconds):
            question = run.waiting_for
            assert question is not None  # noqa: S101 - it is what they wait for
            try:
                answer = Answer(
                    "expired", reason="nobody answered in time", by="server", question_id=question.id
                )
                self.answer(run.session_id, answer, kinds=(question.kind,), call_id=question.call_id)
            except AppError as error:
                log.info("the question of run %s did not expire: %s", run.id, error.message)


def queued_messages(
    session_id: str, kind: QueueKind, contents: Sequence[Sequence[Block]], *, by: str, at: float
) -> list[QueuedMessage]:
    """With new ids; `at` is the database's time."""
    return [QueuedMessage(uuid.uuid4().hex, session_id, kind, tuple(content), at, by) for content in contents]
