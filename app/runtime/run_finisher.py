"""Stores how a run ended, with the events that tell of it, and shows them; later, if the database is away."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache, partial

from app.conversation.run import Run
from app.conversation.run_outcome import RunOutcome
from app.errors import AppError, BatonLost, RunCancelled, StoreUnavailable
from app.event_encoder import EventEncoder
from app.runtime.live_run import LiveRun
from app.runtime.streams.event_log import EventLogs
from app.sse_format import numbered
from app.store.event_segments import Segment
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

    def __init__(self, store: Store, logs: EventLogs, metrics: Metrics) -> None:
        self._store = store
        self._logs = logs
        self._metrics = metrics
        self._guard = threading.Lock()  # of the list; never held over anything that can block
        self._unfinished: list[_Unfinished] = []

    def finish(self, live: LiveRun, outcome: RunOutcome) -> Finished:
        """Seals the run's log with its last events, and stores them with its end. Never raises: the row of a run that
        could not be finished is finished by `catch_up`."""
        finished = Finished(live.log.next_number - 1)
        try:
            finished = self._seal_lost(live) if live.lost else self._finish(live, outcome)
            self._count(live, outcome, finished)
        except Exception:
            log.exception("the end of run %s could not be told or stored", live.run.id)
        return finished

    def show(self, live: LiveRun, finished: Finished | None) -> None:
        """Shows the end to the run's readers; its session is free by now. None: its row goes on waiting for a person,
        unless somebody has asked for a stop meanwhile. Never raises, and leaves nothing out whatever fails."""
        try:
            with ExitStack() as last:  # from the last line to the first
                last.callback(self._logs.release, live.log)
                last.callback(live.finished.set)
                if finished is None:
                    last.callback(self._pass_on_stop, live)
                elif finished.last_number is None:
                    last.callback(live.log.leave, live.end)
                else:
                    last.callback(live.log.show_end, live.end, finished.last_number)
        except Exception:
            log.exception("not everything that run %s held was given back", live.run.id)

    def _pass_on_stop(self, live: LiveRun) -> None:
        """A stop that was asked for while the run was let go ends its row."""
        if not live.cancellation.is_set() or live.lost:
            return
        try:
            self._store.runs.request_stop(live.run.id, live.cancellation.by)
        except AppError as error:
            log.warning("run %s waits on although it was stopped: %s", live.run.id, error.message)

    def _finish(self, live: LiveRun, outcome: RunOutcome) -> Finished:
        payloads: Sequence[bytes] = ()
        segments: list[Segment] = []
        sealed = False
        try:
            payloads = EventEncoder().encode_all(outcome.last_events(live.run))
            live.log.seal(payloads, live.end)
            sealed = True
        except Exception:
            log.exception("the end of run %s does not fit into its log", live.run.id)
        last_number = live.log.next_number - 1
        with live.log.writing:
            try:
                segments = [one for one in [live.log.unwritten(live.run.id)] if one is not None]
            except Exception:
                log.exception("the last events of run %s could not be stored", live.run.id)
            if payloads and not sealed:  # the log's readers find the end in the store
                segments.append(_segment(live.run, last_number + 1, payloads))
                last_number = segments[-1].last
            store_end = self._storing(live, outcome, segments, last_number)
            finished = self._store_end(live, outcome, store_end, segments, last_number)
        self._settle(live, finished, store_end, payloads if sealed else None, last_number)
        return finished

    def _settle(
        self,
        live: LiveRun,
        finished: Finished,
        store_end: Callable[[], bool],
        payloads: Sequence[bytes] | None,
        last_number: int,
    ) -> None:
        """Brings the log to where the store is. `payloads` are the events that were sealed; None if none could be."""
        if payloads is None:
            tell_stored = partial(live.log.continue_at, last_number + 1)
        else:
            tell_stored = partial(live.log.renumber, last_number, payloads)
        if finished.last_number is None:
            live.log.unseal(live.end)
        elif not finished.stored:
            if payloads is not None:
                live.log.unnumber(last_number, payloads)
            self._keep(_Unfinished(live.run, store_end, tell_stored))
        elif payloads is None:
            tell_stored()

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
        self, live: LiveRun, outcome: RunOutcome, segments: Sequence[Segment], last_number: int
    ) -> Callable[[], bool]:
        store = partial(
            self._store.runs.finish,
            status=outcome.status,
            code=outcome.code,
            error=outcome.error,
            segments=segments,
            next_event=last_number + 1,
            stopped_by=live.cancellation.by or None,
        )
        translator = live.translator
        if translator is None:
            return partial(store, live.baton)
        told = cache(partial(translator.ended, outcome))  # which reads, and the database may be away
        return lambda: store(replace(live.baton, told=self._store.told.writes(told())))

    def _store_end(
        self,
        live: LiveRun,
        outcome: RunOutcome,
        store_end: Callable[[], bool],
        segments: Sequence[Segment],
        last_number: int,
    ) -> Finished:
        queued = False
        try:
            queued = live.patience(store_end)
        except BatonLost:
            if not self._is_stored(live.run, outcome, last_number):  # else only the answer to it was lost
                log.warning("another process has taken this run over")
                return Finished(None)
        except (StoreUnavailable, RunCancelled):
            log.warning("the end of the run can't be stored yet", exc_info=True)
            return Finished(last_number)
        except Exception:
            log.exception("the end of the run could not be stored")
            return Finished(last_number)
        live.log.mark_written(last_number)
        events = sum(segment.count for segment in segments)
        return Finished(last_number, stored=True, queued=queued, events=events)

    def _count(self, live: LiveRun, outcome: RunOutcome, finished: Finished) -> None:
        """For monitoring, whose trouble is not the run's. It is counted by the process that stores its end."""
        try:
            if finished.stored:
                self._metrics.events_stored(finished.events)
                self._metrics.run_ended(outcome.status, outcome.code, time.monotonic() - live.asked_at)
            elif finished.last_number is None:
                self._metrics.lease_lost()
        except Exception:
            log.exception("the end of run %s could not be counted", live.run.id)

    def _is_stored(self, run: Run, outcome: RunOutcome, last_number: int) -> bool:
        try:
            stored = self._store.runs.get(run.id)
        except AppError:
            return False
        return (stored.status, stored.last_event) == (outcome.status, last_number)


def _segment(run: Run, first: int, payloads: Sequence[bytes]) -> Segment:
    facts = b"".join(numbered(first, payloads))
    return Segment(run.session_id, run.id, first, first + len(payloads) - 1, facts)
