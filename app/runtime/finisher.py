"""Stores how a run ended, with the events that tell of it; later, if the database is away."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from app.conversation.run import Run
from app.errors import AppError, BatonLost, RunCancelled, StoreUnavailable
from app.runtime.ending import Ending
from app.runtime.live_run import LiveRun
from app.store.event_store import Segment
from app.store.store import Store
from app.telemetry.metrics import Metrics

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Finished:
    """How far the end of a run has come. `last_number` is the number of the last event that its readers get; None if
    another process tells them the end."""

    last_number: int | None
    stored: bool = False
    queued: bool = False  # messages wait in the session's queue
    events: int = 0  # so many were stored with the end


@dataclass(frozen=True, slots=True)
class _Unfinished:
    run: Run
    store_end: Callable[[], bool]
    tell_stored: Callable[[], None]


class Finisher:
    """Used by the threads that end runs, and by maintenance."""

    def __init__(self, store: Store, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics
        self._guard = threading.Lock()  # of the list; never held over anything that can block
        self._unfinished: list[_Unfinished] = []

    def finish(self, live: LiveRun, ending: Ending) -> Finished:
        """Seals the run's log with its last events, and stores them with its end. Raises nothing that the database or
        the log raise: the row of a run that could not be finished is finished by `catch_up`."""
        finished = self._seal_lost(live) if live.lost else self._finish(live, ending)
        self._count(live, ending, finished)
        return finished

    def _finish(self, live: LiveRun, ending: Ending) -> Finished:
        payloads, segment = [], None
        try:
            payloads = ending.encoded(live.run)
            live.log.seal(payloads, live.end)
        except Exception:
            log.exception("the end of run %s could not be told", live.run.id)
            payloads = []
        last_number = live.log.next_number - 1
        with live.log.writing:
            try:
                segment = live.log.unwritten(live.run.id)
            except Exception:
                log.exception("the last events of run %s could not be stored", live.run.id)
            store_end = self._storing(live, ending, segment, last_number)
            finished = self._store_end(live, ending, store_end, segment, last_number)
        if finished.last_number is None:
            live.log.unseal(live.end)
        elif not finished.stored:
            live.log.unnumber(last_number, payloads)
            tell_stored = partial(live.log.renumber, last_number, payloads)
            self._keep(_Unfinished(live.run, store_end, tell_stored))
        return finished

    def catch_up(self) -> None:
        """Finishes rows that could not be finished when their runs ended."""
        with self._guard:
            waiting, self._unfinished = self._unfinished, []
        while waiting:
            one = waiting.pop()
            try:
                one.store_end()
                one.tell_stored()
                log.info("the end of run %s is stored now", one.run.id)
            except BatonLost:
                log.warning("run %s was closed by another process meanwhile", one.run.id)
            except StoreUnavailable:
                self._keep(one)
            except Exception:
                log.exception("the end of run %s can't be stored", one.run.id)

    def _keep(self, unfinished: _Unfinished) -> None:
        with self._guard:
            self._unfinished.append(unfinished)

    def _seal_lost(self, live: LiveRun) -> Finished:
        """The end of a run that another process has closed, or goes on with: its readers find it in the store."""
        live.log.seal((), live.end)
        return Finished(None)

    def _storing(
        self, live: LiveRun, ending: Ending, segment: Segment | None, last_number: int
    ) -> Callable[[], bool]:
        return partial(
            self._store.runs.finish,
            live.baton,
            ending.status,
            code=ending.code,
            error=ending.error,
            segments=[segment] if segment else [],
            next_event=last_number + 1,
            stopped_by=live.cancellation.by or None,
        )

    def _store_end(
        self,
        live: LiveRun,
        ending: Ending,
        store_end: Callable[[], bool],
        segment: Segment | None,
        last_number: int,
    ) -> Finished:
        queued = False
        try:
            queued = live.patience(store_end)
        except BatonLost:
            if not self._is_stored(live.run, ending, last_number):  # else only the answer to it was lost
                log.warning("another process has taken this run over")
                return Finished(None)
        except (StoreUnavailable, RunCancelled):
            log.warning("the end of the run can't be stored yet", exc_info=True)
            return Finished(last_number)
        except Exception:
            log.exception("the end of the run could not be stored")
            return Finished(last_number)
        live.log.mark_written(last_number)
        return Finished(last_number, stored=True, queued=queued, events=segment.count if segment else 0)

    def _count(self, live: LiveRun, ending: Ending, finished: Finished) -> None:
        """For those who look on, whose trouble is not the run's. It is counted by the process that stores its end."""
        try:
            if finished.stored:
                self._metrics.events_stored(finished.events)
                self._metrics.run_ended(ending.status, ending.code, time.monotonic() - live.asked_at)
            elif finished.last_number is None:
                self._metrics.lease_lost()
        except Exception:
            log.exception("the end of run %s could not be counted", live.run.id)

    def _is_stored(self, run: Run, ending: Ending, last_number: int) -> bool:
        try:
            stored = self._store.runs.get(run.id)
        except AppError:
            return False
        return (stored.status, stored.last_event) == (ending.status, last_number)
