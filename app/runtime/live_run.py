"""A run as its own process sees it: its question to a person, its cancellation, its event log."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from app.agent.kept_history import KeptHistory
from app.conversation.events import Event
from app.conversation.run import AT_SAFE_POINT, Answer, Baton, Question, Run, RunStatus
from app.errors import BatonLost, RunCancelled
from app.event_encoder import EventEncoder
from app.runtime.event_translator import EventTranslator
from app.runtime.known_rows import KnownRows
from app.runtime.patience import Patience
from app.runtime.request_context import RequestContext
from app.runtime.run_clock import LIMIT, RunClock
from app.runtime.session_locks import SessionLock
from app.runtime.streams.event_log import EndMark, EventLog

log = logging.getLogger(__name__)


class RunCancellation:
    """Set once, from any thread. A caller inside `calling` is told on the canceller's thread."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.since = 0.0  # monotonic
        self._guard = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []
        self.by = ""

    def cancel(self, by: str) -> None:
        with self._guard:
            if self._event.is_set():
                return
            self.by = by
            self.since = time.monotonic()
            self._event.set()
            callbacks = list(self._callbacks)
        for callback in callbacks:
            try:
                callback()
            except Exception:
                log.exception("somebody could not be told of a cancel")

    def is_set(self) -> bool:
        return self._event.is_set()

    def wait(self, timeout: float) -> bool:
        return self._event.wait(timeout)

    @contextmanager
    def calling(self, callback: Callable[[], None]) -> Iterator[None]:
        with self._guard:
            self._callbacks.append(callback)
            cancelled = self._event.is_set()
        if cancelled:
            callback()
        try:
            yield
        finally:
            with self._guard:
                self._callbacks.remove(callback)


class RunParked(Exception):
    """The run waits for a person, and its process is going away: it goes on wherever the answer arrives."""


class LiveRun:
    """Made by `RuntimeManager.launch`, followed by its own thread, looked at by all others.

    `status` and `waiting_for` are written by the run's thread only; the mailbox is filled by anybody.
    """

    def __init__(
        self,
        run: Run,
        lock: SessionLock,
        log: EventLog,
        *,
        context: RequestContext | None = None,
        asked_at: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """`asked_at`, by the monotonic clock, is when somebody asked for it."""
        self.context = context or RequestContext()
        self.asked_at = time.monotonic() if asked_at is None else asked_at
        self.run = run
        self.headers = headers or {}  # of the request that started it; never stored
        self.lock = lock
        self.known = KnownRows()
        self.translator: EventTranslator | None = None  # of what happens, for clients of another door
        self.history = KeptHistory()  # by earlier runs of the session
        self.account = ""  # the name whose session it works on
        self.titled = False  # its session had a title when it began, or is to have none
        self.log = log
        self.end = EndMark(run.id)
        self.cancellation = RunCancellation()
        self.clock = RunClock(float(run.options.get(LIMIT) or 0.0), worked=run.worked_seconds)
        self.is_overdue = False  # it was stopped because it has been at work for too long
        self.patience = Patience(
            self.cancellation, lost=lambda: self._lost
        )  # for its reads and numbered writes
        self.status: RunStatus = run.status
        self.waiting_for: Question | None = None
        self.first_event = run.first_event if run.epoch else log.next_number  # an adopted one began elsewhere
        self._encoder = EventEncoder()
        self.finished = threading.Event()  # the session is free again and the end can be seen
        self.stops_at_safe_point = False  # asked to stop gently
        self._mail = threading.Condition()
        self._answer: Answer | None = None
        self._got_last_answer = False
        self._lost = False
        self._parking = False
        self.parked = False  # its row waits, and this process has let go of it
        self._ending = False

    @property
    def baton(self) -> Baton:
        return self.run.baton

    def hand_over(self, session_id: str, agent: str) -> None:
        """Another agent ("key/name") has the session; nothing changes if it has only that of a task within the run."""
        if session_id == self.run.session_id:
            self.run = replace(self.run, agent=agent)

    @property
    def is_stopping(self) -> bool:
        """It does nothing more but end."""
        return self._ending or self._got_last_answer or self.cancellation.is_set()

    def publish(self, event: Event) -> None:
        """Shows it to readers. For the run's thread, and for the thread that shows text or a tool's output while that
        one waits for its model or its tool."""
        self.log.publish(self._encoder.encode(event), self.end)

    def deliver(self, answer: Answer) -> None:
        with self._mail:
            self._answer = answer
            self._got_last_answer = answer.ends_run
            self._mail.notify_all()

    def lose(self) -> None:
        """Another process has the baton now: stop, and write nothing more."""
        self.log.silence(self.end)
        with self._mail:
            self._lost = True
            self._mail.notify_all()
        self.cancellation.cancel("another process")

    @property
    def lost(self) -> bool:
        return self._lost

    def park(self) -> None:
        """This process goes away: as soon as the run waits for an answer, its row waits without it."""
        with self._mail:
            self._parking = True
            self._mail.notify_all()

    def heed_stop(self, by: str) -> None:
        """Stops it as its row asks: `by` is the row's `stop_requested`."""
        if by.startswith(AT_SAFE_POINT) and self.waiting_for is None:
            self.stops_at_safe_point = True
        else:
            self.cancellation.cancel(by)

    def stop_if_overdue(self) -> None:
        """For any thread but the run's own, now and then."""
        if self.clock.is_over and not self.cancellation.is_set():
            self.is_overdue = True
            self.cancellation.cancel("server")

    def expect_answer(self, question: Question) -> None:
        """From now on an answer to this question is kept; call it before anybody can see the question."""
        self.clock.stop()
        self.status, self.waiting_for = question.status, question

    def take_back(self) -> None:
        """The question that `expect_answer` announced was not asked after all."""
        self.status, self.waiting_for = "running", None
        self.clock.go_on()

    def wait_for_answer(self, let_go: Callable[[], Answer]) -> Answer:
        """Waits as long as it takes for what `expect_answer` announced. RunCancelled, BatonLost.

        `let_go` is called when the process goes away meanwhile. It returns the answer, if one came before it could
        park the run, or raises RunParked.
        """
        assert self.waiting_for is not None  # noqa: S101 - the recorder announces first
        try:
            return self._delivered(self.waiting_for.id) or let_go()
        except RunParked:
            self.parked = True
            raise
        finally:
            if not self.parked:
                self.take_back()

    def _delivered(self, question_id: str) -> Answer | None:
        """Waits for the answer; None if the process goes away first."""
        with self.cancellation.calling(self._wake), self._mail:
            while not (self._answer and self._answer.question_id == question_id):
                if self._lost:
                    raise BatonLost()
                if self.cancellation.is_set():
                    raise RunCancelled()
                if self._parking:
                    return None
                self._mail.wait()
            return self._answer

    @property
    def ending(self) -> bool:
        return self._ending

    def begin_ending(self) -> bool:
        """True for the one caller that is to end the run."""
        with self._mail:
            first, self._ending = not self._ending, True
            return first

    def _wake(self) -> None:
        with self._mail:
            self._mail.notify_all()
