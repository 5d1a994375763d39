"""How things stand in this process and in its database, read where they are anyway: nothing is counted up and down."""

from __future__ import annotations

from typing import Final

from app.runtime.periodic_tasks import PeriodicTasks
from app.runtime.run_control import RunControl
from app.runtime.streams.stream_slots import Slots
from app.store.store import Store
from app.telemetry.metrics import Levels, Metrics

DATABASE_SECONDS: Final = 5.0
QUESTIONS_SECONDS: Final = 15.0


class Gauges:
    """Measures once a second, as a periodic task, since another worker may be asked for the numbers of this
    one."""

    def __init__(
        self,
        store: Store,
        slots: Slots,
        control: RunControl,
        metrics: Metrics,
        tasks: PeriodicTasks,
        *,
        threads_limit: int,
    ) -> None:
        self._store = store
        self._slots = slots
        self._control = control
        self._metrics = metrics
        self._threads_limit = threads_limit
        tasks.every(1.0, self.measure)
        tasks.every(DATABASE_SECONDS, self.measure_database)
        tasks.every(QUESTIONS_SECONDS, self.measure_waits)
        self.measure()

    def measure(self) -> None:
        """Sets the levels to what is true now; waits for nobody."""
        self._metrics.set_levels(
            Levels(
                streams=self._slots.taken,
                streams_limit=self._slots.limit,
                threads_limit=self._threads_limit,
                waiting_requests=len(self._control.line),
                database_connections=self._store.database.in_use,
            )
        )

    def measure_database(self) -> None:
        """Asks the database how many runs hold their session, also those that no process has in its memory, and how
        many messages wait. StoreUnavailable."""
        self._metrics.set_runs(self._store.runs.count_live())
        self._metrics.set_queued(self._store.queue.depths())

    def measure_waits(self) -> None:
        """Reads every open question, so it does not do so as often. StoreUnavailable."""
        self._metrics.set_longest_waits(self._store.runs.longest_waits())
