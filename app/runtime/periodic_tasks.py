"""Work that a process has to do now and then, and may do late: on a thread of its own, so that it holds up no stream
and no lease."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from app.errors import StoreUnavailable
from app.threads import ThreadedService

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0


class PeriodicTasks(ThreadedService):
    """Started with the first run or reader of a process, so never before a fork."""

    def __init__(self) -> None:
        super().__init__(periodic_tasks=self._work)
        self._tasks: list[_Task] = []

    def every(self, seconds: float, act: Callable[[], object]) -> None:
        """Has the task called about every so many seconds, on the thread of periodic tasks. An error in one task is
        logged and keeps no other task from its turn."""
        self._tasks.append(_Task(act, seconds))

    def _work(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            for task in self._tasks:
                if self._stopping.is_set():
                    return
                task.do_if_due()


class _Task:
    def __init__(self, act: Callable[[], object], seconds: float) -> None:
        self._act = act
        self._seconds = seconds
        self._next = time.monotonic() + seconds

    def do_if_due(self) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self._seconds
        try:
            self._act()
        except StoreUnavailable:
            log.warning("the database does not answer; maintenance will be done later", exc_info=True)
        except Exception:
            log.exception("a task of maintenance failed; it will be tried again")
