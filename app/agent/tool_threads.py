"""Threads for tool calls that are made side by side."""

from __future__ import annotations

import contextvars
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from app.agent.model_client import Cancellation
from app.agent.toolset import Elicitation, Outcome

log = logging.getLogger(__name__)

PLACES: Final = 64
"""Threads of one process: enough for some runs with many calls, and few beside those that runs have anyway."""


class ToolThreads:
    """For all runs of a process; any thread may ask it."""

    def __init__(self, places: int = PLACES) -> None:
        self._places = threading.BoundedSemaphore(places)

    def start(self, work: Callable[[], Outcome]) -> RunningCall:
        """Begins on a thread of its own. Where none is to be had, the work is done before this returns."""
        handling = RunningCall(work)
        if not self._places.acquire(blocking=False):
            handling.do()
            return handling
        context = contextvars.copy_context()
        thread = threading.Thread(
            target=lambda: context.run(self._do, handling), name="tool-call", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            log.warning("a tool call gets no thread of its own", exc_info=True)
            self._do(handling)
        return handling

    def _do(self, handling: RunningCall) -> None:
        try:
            handling.do()
        finally:
            self._places.release()


class RunningCall:
    """One handler at work."""

    def __init__(self, work: Callable[[], Outcome]) -> None:
        self._work = work
        self._done = threading.Event()
        self._outcome: Outcome | None = None
        self._failure: BaseException | None = None

    def do(self) -> None:
        try:
            self._outcome = self._work()
        except BaseException as failure:
            self._failure = failure
        finally:
            self._done.set()

    def outcome(self) -> Outcome:
        """Waits for it; raises what the work raised."""
        self._done.wait()
        if self._failure is not None:
            raise self._failure
        assert self._outcome is not None  # noqa: S101 - one of the two there is
        return self._outcome

    def drop(self) -> None:
        """Waits for it as well. Nobody wants the outcome any more, nor will a question be answered."""
        self._done.wait()
        if isinstance(self._outcome, Elicitation):
            self._outcome.abandon()


class CallCancellation:
    """A run's cancellation for some of its calls, which can be told alone that they should end."""

    def __init__(self, run: Cancellation) -> None:
        self._run = run
        self._guard = threading.Lock()
        self._taken = threading.Event()
        self._callbacks: list[Callable[[], None]] = []

    def take(self) -> None:
        """Ends the calls."""
        with self._guard:
            self._taken.set()
            callbacks = list(self._callbacks)
        for callback in callbacks:
            callback()

    def is_set(self) -> bool:
        return self._taken.is_set() or self._run.is_set()

    def wait(self, timeout: float) -> bool:
        over = threading.Event()
        with self.calling(over.set):
            over.wait(timeout)
        return self.is_set()

    @contextmanager
    def calling(self, callback: Callable[[], None]) -> Iterator[None]:
        """As the run's own: once, whichever of the two comes first."""
        once = _once(callback)
        with self._run.calling(once):
            with self._guard:
                self._callbacks.append(once)
                taken = self._taken.is_set()
            if taken:
                once()
            try:
                yield
            finally:
                with self._guard:
                    self._callbacks.remove(once)


def _once(callback: Callable[[], None]) -> Callable[[], None]:
    called = threading.Lock()  # never released

    def call() -> None:
        if called.acquire(blocking=False):
            callback()

    return call
