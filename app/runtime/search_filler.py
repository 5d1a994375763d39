"""Follows with the index of words what is stored, as a periodic task."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Final

from app.errors import StoreUnavailable
from app.runtime.periodic_tasks import PeriodicTasks
from app.store.store import Store

EVERY_SECONDS: Final = 1.0

AT_WORK_SECONDS: Final = 0.25
"""Of each period: the rest of it belongs to the other tasks, and the time between two bites to other writers."""


class SearchFiller:
    """One process of the cluster does it at a time."""

    def __init__(self, store: Store, tasks: PeriodicTasks) -> None:
        self._store = store
        tasks.every(EVERY_SECONDS, self.fill)

    def fill(self) -> None:
        """Indexes what waits, as far as there is time. While the database does not answer, others say so."""
        with suppress(StoreUnavailable):
            self._fill()

    def _fill(self) -> None:
        index = self._store.search_index
        if not index.waits() or not self._store.jobs.take("index words", period=EVERY_SECONDS / 2):
            return
        end = time.monotonic() + AT_WORK_SECONDS
        while (began := time.monotonic()) < end and index.step():
            time.sleep(min(time.monotonic() - began, AT_WORK_SECONDS / 5))
