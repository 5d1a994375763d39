"""The one housekeeping thread of a process: writes event logs behind, listens for word from other processes,
and renews the leases of all runs in one statement."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Final

from app.conversation.run import LIVE, Owner
from app.errors import StoreUnavailable
from app.runtime.live_run import LiveRun
from app.store.event_store import Segment
from app.store.store import Store

log = logging.getLogger(__name__)

TICK_SECONDS: Final = 0.25


class Keeper:
    """Started with the first run of a process, so never before a fork."""

    def __init__(
        self,
        store: Store,
        owner: Owner,
        live_runs: Callable[[], Sequence[LiveRun]],
        *,
        heartbeat_seconds: float,
    ) -> None:
        self._owner = owner
        self._store = store
        self._live_runs = live_runs
        self._heartbeat_seconds = heartbeat_seconds
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()  # set: stop, or something to do
        self._stopping = False

    def ensure_running(self) -> None:
        with self._guard:
            if self._thread is None and not self._stopping:
                self._thread = threading.Thread(target=self._work, name="keeper", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        with self._guard:
            self._stopping = True
            thread = self._thread
        self._wake.set()
        if thread is not None:
            thread.join()

    def _work(self) -> None:
        renewed = time.monotonic()
        while not self._wake.wait(TICK_SECONDS):
            runs = self._live_runs()
            if not runs:
                renewed = time.monotonic()
                continue
            try:
                self._write_events(runs)
                self._listen(runs)
                if time.monotonic() - renewed >= self._heartbeat_seconds:
                    self._renew(runs)
                    renewed = time.monotonic()
            except StoreUnavailable:
                log.warning("the database does not answer; trying again", exc_info=True)
            except Exception:
                log.exception("housekeeping failed; trying again")

    def _write_events(self, runs: Sequence[LiveRun]) -> None:
        """One transaction for all runs, except those whose own thread is writing right now."""
        with ExitStack() as locked:
            segments: list[tuple[LiveRun, Segment]] = []
            for run in runs:
                if run.lost or not run.log.writing.acquire(blocking=False):
                    continue
                locked.callback(run.log.writing.release)
                if not run.ending and (segment := run.log.unwritten(run.run.id)):
                    segments.append((run, segment))
            if segments:
                self._store.events.append([segment for _, segment in segments])
                for run, segment in segments:
                    run.log.mark_written(segment.last)

    def _listen(self, runs: Sequence[LiveRun]) -> None:
        by_id = {run.run.id: run for run in runs}
        for signal in self._store.runs.signals(list(by_id)):
            run = by_id[signal.run_id]
            if signal.answer is not None and run.waiting_for is not None:
                run.deliver(signal.answer)
            if signal.status not in LIVE and not run.ending:
                self._lost(run)
            if signal.stop_requested is not None:
                run.cancellation.cancel(signal.stop_requested)

    def _renew(self, runs: Sequence[LiveRun]) -> None:
        held = self._store.runs.renew([run.baton for run in runs], self._owner)
        for run in runs:
            if run.run.id not in held and not run.finished.is_set() and not run.ending:
                self._lost(run)

    def _lost(self, run: LiveRun) -> None:
        log.warning("run %s has lost its session to another process", run.run.id)
        run.lose()
