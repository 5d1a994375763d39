"""Renews the leases of this process's runs, on a thread that does nothing else.

A lease that is renewed too late is lost, and a healthy run with it. Nothing that may take long happens here: no
event is written, no run is ended, nobody is told. Runs that have lost their session are handed over to housekeeping.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from app.errors import StoreUnavailable
from app.runtime.live_run import LiveRun
from app.store.lease_store import LeaseStore
from app.telemetry.metrics import Metrics
from app.threads import ThreadedService

log = logging.getLogger(__name__)

RETRY_SECONDS: Final = 1.0
"""How soon a renewal that failed is tried again, if the next one is not due before."""


class Heartbeat(ThreadedService):
    """Started with the first run or reader of a process, so never before a fork."""

    def __init__(
        self,
        leases: LeaseStore,
        live_runs: Callable[[], Sequence[LiveRun]],
        *,
        seconds: float,
        lose: Callable[[LiveRun], None],
        metrics: Metrics,
    ) -> None:
        """Beats every so many `seconds`. `lose` is called on this thread with each run that has lost its session,
        and must not block."""
        super().__init__(heartbeat=self._work)
        self._leases = leases
        self._live_runs = live_runs
        self._seconds = seconds
        self._lose = lose
        self._metrics = metrics
        self._unbroken_since: float | None = None  # monotonic, as `_last_beat` is
        self._last_beat = 0.0

    def unbroken_for(self, seconds: float) -> bool:
        """Has this process reached the database at every beat of the last so many seconds, until now?

        A process that has not may find leases run out that their holders could not renew either.
        """
        since, last = self._unbroken_since, self._last_beat
        if since is None or time.monotonic() - last > self._longest_pause:
            return False
        return last - since >= seconds

    @property
    def _longest_pause(self) -> float:
        """Between two beats. After a longer one, as when the process was stopped, the count begins anew."""
        return 2 * self._seconds + RETRY_SECONDS

    def _work(self) -> None:
        pause = self._seconds
        while not self._stopping.wait(pause):
            pause = self._seconds if self._beat() else min(self._seconds, RETRY_SECONDS)

    def _beat(self) -> bool:
        """Is there nothing to be tried again soon?"""
        try:
            renewed = self._renew(self._live_runs())
        except StoreUnavailable:
            self._unbroken_since = None
            log.warning("leases can't be renewed: the database does not answer; trying again", exc_info=True)
            return False
        except Exception:
            self._unbroken_since = None
            log.exception("leases can't be renewed; trying again")
            return False
        beat = time.monotonic()
        if self._unbroken_since is None or beat - self._last_beat > self._longest_pause:
            self._unbroken_since = beat
        self._last_beat = beat
        return renewed

    def _renew(self, runs: Sequence[LiveRun]) -> bool:
        """Was nothing left out? A transaction that goes on too long may keep a run's row locked."""
        if not runs:
            self._leases.reach()
            return True
        renewed = self._leases.renew([run.baton for run in runs])
        self._metrics.leases_renewed(len(renewed.done))
        for run in runs:
            if run.run.id in renewed.lost:
                self._lose(run)
        return len(renewed.done) + len(renewed.lost) == len(runs)
