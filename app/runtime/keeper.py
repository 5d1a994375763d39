"""The one housekeeping thread of a process: writes event logs behind, listens for word from other processes,
and renews the leases of all runs in one statement."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from app.conversation.run import LIVE
from app.errors import StoreUnavailable
from app.runtime.event_logs import EventLogs
from app.runtime.live_run import AT_SAFE_POINT, LiveRun
from app.store.event_store import Segment
from app.store.store import Store
from app.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

TICK_SECONDS: Final = 0.25
PRUNE_SECONDS: Final = 60.0

WRITING_SHARE: Final = 0.1
"""So much of the time may go into writing event logs behind, as long as none has to wait longer than
`WRITING_SECONDS`: with a thousand runs it is most of what housekeeping costs, however much they have to say."""

WRITING_SECONDS: Final = 1.0


class Keeper:
    """Started with the first run or reader of a process, so never before a fork."""

    def __init__(
        self,
        store: Store,
        logs: EventLogs,
        live_runs: Callable[[], Sequence[LiveRun]],
        *,
        heartbeat_seconds: float,
        look_after: Callable[[], None],
        metrics: Metrics,
    ) -> None:
        """`look_after` is called about once a second, for what only its owner can do."""
        self._store = store
        self._logs = logs
        self._live_runs = live_runs
        self._look_after = look_after
        self._metrics = metrics
        self._heartbeat = Every(heartbeat_seconds)
        self._next_writing = 0.0  # monotonic
        self._second = Every(1.0)
        self._minute = Every(PRUNE_SECONDS)
        self._guard = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._wake = threading.Event()
        self._stopping = False

    def ensure_running(self) -> None:
        with self._guard:
            if self._threads or self._stopping:
                return
            self._threads.append(threading.Thread(target=self._work, name="keeper", daemon=True))
            if self._store.database.can_listen:
                hints = threading.Thread(target=self._listen_for_hints, name="keeper-hints", daemon=True)
                self._threads.append(hints)
            for thread in self._threads:
                thread.start()

    def stop(self) -> None:
        with self._guard:
            self._stopping = True
            threads = list(self._threads)
        self._wake.set()
        for thread in threads:
            thread.join()

    def _work(self) -> None:
        while True:
            self._wake.wait(TICK_SECONDS)
            self._wake.clear()
            if self._stopping:
                return
            try:
                self._tick()
            except StoreUnavailable:
                log.warning("the database does not answer; trying again", exc_info=True)
            except Exception:
                log.exception("housekeeping failed; trying again")

    def _tick(self) -> None:
        runs = self._live_runs()
        if runs:
            began = time.monotonic()
            if began >= self._next_writing:
                self._write_events(runs)
                self._next_writing = began + pause_after(time.monotonic() - began)
            self._listen(runs)
        self._follow(frozenset(run.run.session_id for run in runs))
        if self._heartbeat.due() and runs:
            self._renew(runs)
        if self._second.due():
            self._look_after()
        if self._minute.due():
            self._store.prune()

    def _listen_for_hints(self) -> None:
        """PostgreSQL says when something has changed; without it, every tick looks."""
        while not self._stopping:
            try:
                for _ in self._store.database.listen(lambda: self._stopping):
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
                self._append(segments)
        finally:
            for run in taken:
                run.log.writing.release()

    def _append(self, segments: Sequence[tuple[LiveRun, Segment]]) -> None:
        held = self._store.events.append([(run.baton, segment) for run, segment in segments])
        count = 0
        for run, segment in segments:
            if run.run.id in held:
                run.log.mark_written(segment.last)
                count += segment.count
            else:
                self._lost(run)
        self._metrics.events_stored(count)

    def _listen(self, runs: Sequence[LiveRun]) -> None:
        runs = [run for run in runs if not run.ending]
        if self._store.runs.quiet([run.baton for run in runs]):
            return
        by_id = {run.run.id: run for run in runs}
        signals = {signal.run_id: signal for signal in self._store.runs.signals(list(by_id))}
        for run_id, run in by_id.items():
            signal = signals.get(run_id)
            if signal is None or signal.epoch != run.run.epoch or signal.status not in LIVE:
                self._lost(run)  # deleted, adopted or ended by another process; what is said is not for us
                continue
            if signal.answer is not None and run.waiting_for is not None:
                run.deliver(signal.answer)
            if signal.stop_requested is not None:
                if signal.stop_requested.startswith(AT_SAFE_POINT) and run.waiting_for is None:
                    run.stops_at_safe_point = True
                else:
                    run.cancellation.cancel(signal.stop_requested)

    def _renew(self, runs: Sequence[LiveRun]) -> None:
        held = self._store.runs.renew([run.baton for run in runs])
        self._metrics.leases_renewed(len(held))
        for run in runs:
            if run.run.id not in held:
                self._lost(run)

    def _lost(self, run: LiveRun) -> None:
        if run.ending or run.lost:
            return
        log.warning("run %s has lost its session to another process", run.run.id)
        run.lose()


def pause_after(writing: float) -> float:
    """Seconds from the beginning of one writing of the event logs to the next, by how long it took."""
    return min(writing / WRITING_SHARE, WRITING_SECONDS)


class Every:
    """Is it time again?"""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last = time.monotonic()

    def due(self) -> bool:
        if time.monotonic() - self._last < self._seconds:
            return False
        self._last = time.monotonic()
        return True
