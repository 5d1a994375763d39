"""Housekeeping for the runs and readers of a process, four times a second: writes event logs behind, looks for word
from other processes, and follows the sessions that these work on."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from app.conversation.run import LIVE
from app.errors import StoreUnavailable
from app.runtime.live_run import LiveRun
from app.runtime.streams.event_log import EventLogs
from app.store.event_segments import Segment
from app.store.run_store import Signal
from app.store.store import Store
from app.telemetry.metrics import Metrics
from app.threads import ThreadedService

log = logging.getLogger(__name__)

TICK_SECONDS: Final = 0.25

WRITING_SHARE: Final = 0.1
"""Share of the time that may go into writing event logs behind, as long as no log has to wait longer than
`WRITING_SECONDS`: with a thousand runs this writing is most of the cost of housekeeping, however much the runs have
to say."""

WRITING_SECONDS: Final = 1.0


class Housekeeper(ThreadedService):
    """Started with the first run or reader of a process, so never before a fork."""

    def __init__(
        self, store: Store, logs: EventLogs, live_runs: Callable[[], Sequence[LiveRun]], *, metrics: Metrics
    ) -> None:
        hints = {"housekeeping_hints": self._listen_for_hints} if store.database.can_listen else {}
        super().__init__(housekeeping=self._work, **hints)
        self._store = store
        self._logs = logs
        self._live_runs = live_runs
        self._metrics = metrics
        self._next_writing = 0.0  # monotonic
        self._are_quiet = False  # all runs, as the write of this tick has found
        self._lost: deque[LiveRun] = deque()
        self._wake = threading.Event()
        self._database_away = False

    def _wake_up(self) -> None:
        self._wake.set()

    def lose(self, run: LiveRun) -> None:
        """Has the run told, on the housekeeping thread, that another process has its session. Does not block."""
        self._lost.append(run)
        self._wake.set()

    def _work(self) -> None:
        while True:
            self._wake.wait(TICK_SECONDS)
            self._wake.clear()
            if self._stopping.is_set():
                return
            self._tick()

    def _tick(self) -> None:
        runs = self._live_runs()
        self._are_quiet = False
        was_away, self._database_away = self._database_away, False
        self._attempt(self._tell_lost)
        if runs and time.monotonic() >= self._next_writing:
            began = time.monotonic()
            self._attempt(lambda: self._write_events(runs))
            self._next_writing = began + pause_after(time.monotonic() - began)
        if runs and not self._are_quiet:
            self._attempt(lambda: self._listen(runs))
        self._attempt(lambda: self._follow(frozenset(run.run.session_id for run in runs)))
        if self._database_away and not was_away:
            log.warning("the database does not answer; housekeeping tries again at every tick")

    def _attempt(self, step: Callable[[], None]) -> None:
        """One step of a tick; an error in it keeps no other step from its turn."""
        try:
            step()
        except StoreUnavailable:
            self._database_away = True
        except Exception:
            log.exception("housekeeping failed; trying again")

    def _tell_lost(self) -> None:
        while self._lost:
            self._lose(self._lost.popleft())

    def _listen_for_hints(self) -> None:
        """PostgreSQL says when something has changed; without it, every tick looks."""
        while not self._stopping.is_set():
            try:
                for _ in self._store.database.listen(self._stopping.is_set):
                    self._wake.set()
            except StoreUnavailable:
                log.warning("no hints from the database for a while")
                time.sleep(1.0)

    def _follow(self, ours: frozenset[str]) -> None:
        """Brings what other processes have sent to the readers of this one."""
        logs = {event_log.session_id: event_log for event_log in self._logs.followed()}
        foreign = [session_id for session_id in logs if session_id not in ours]
        if not foreign:
            return
        for session_id, last in self._store.events.newest(foreign).items():
            event_log = logs[session_id]
            while event_log.next_number <= last:
                segments = self._store.events.read(session_id, event_log.next_number - 1)
                if not segments:
                    break
                for segment in segments:
                    event_log.receive(segment)

    def _write_events(self, runs: Sequence[LiveRun]) -> None:
        """One transaction for all runs, except those whose own thread is writing right now."""
        taken: list[LiveRun] = []
        try:
            for run in runs:
                if not run.lost and run.log.writing.acquire(blocking=False):
                    taken.append(run)
            found = [(run, run.log.unwritten(run.run.id)) for run in taken if not run.ending]
            segments = [(run, segment) for run, segment in found if segment is not None]
            if segments:
                told = self._append(segments)
                self._are_quiet = told and len(segments) == len(runs)
        finally:
            for run in taken:
                run.log.writing.release()

    def _append(self, segments: Sequence[tuple[LiveRun, Segment]]) -> bool:
        """Is it certain that nobody wants anything of these runs?"""
        written = self._store.events.append([(run.baton, segment) for run, segment in segments])
        count = 0
        for run, segment in segments:
            if run.run.id in written.done:
                run.log.mark_written(segment.last)
                count += segment.count
            elif run.run.id in written.lost:
                self._lose(run)
        self._metrics.events_stored(count)
        return written.quiet

    def _listen(self, runs: Sequence[LiveRun]) -> None:
        runs = [run for run in runs if not run.ending]
        if self._store.runs.quiet([run.baton for run in runs]):
            return
        by_id = {run.run.id: run for run in runs}
        signals = {signal.run_id: signal for signal in self._store.runs.signals(list(by_id))}
        for run_id, run in by_id.items():
            try:
                self._heed(run, signals.get(run_id))
            except Exception:
                log.exception("run %s could not be told what somebody wants of it", run_id)

    def _heed(self, run: LiveRun, signal: Signal | None) -> None:
        """Passes on what the run's row says, read by another process or by this one."""
        if signal is None or signal.epoch != run.run.epoch or signal.status not in LIVE:
            self._lose(run)  # deleted, adopted or ended by another process; what is said is not for us
            return
        if run.waiting_for is not None and (answer := signal.answer) is not None:
            run.deliver(answer)
        if signal.stop_requested is not None:
            run.heed_stop(signal.stop_requested)

    def _lose(self, run: LiveRun) -> None:
        if run.ending or run.lost or run.parked:
            return
        log.warning("run %s has lost its session to another process", run.run.id)
        run.lose()


def pause_after(writing: float) -> float:
    """Seconds from the beginning of one writing of the event logs to the next, by how long it took."""
    return min(writing / WRITING_SHARE, WRITING_SECONDS)
