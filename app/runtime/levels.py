"""How things stand in this process, read where they are anyway: nothing is counted up and down for it."""

from __future__ import annotations

from collections import Counter
from typing import Final

from app.conversation.run import LIVE
from app.runtime.control import RunControl
from app.runtime.manager import RuntimeManager
from app.store.store import Store
from app.telemetry.metrics import Levels, Metrics

QUEUE_SECONDS: Final = 5.0


class LevelMeter:
    """Measures once a second, as a task of maintenance, since another worker may be asked for the numbers of this
    one."""

    def __init__(
        self,
        store: Store,
        manager: RuntimeManager,
        control: RunControl,
        metrics: Metrics,
        *,
        threads_limit: int,
    ) -> None:
        self._store = store
        self._manager = manager
        self._control = control
        self._metrics = metrics
        self._threads_limit = threads_limit
        manager.maintenance.every(1.0, self.measure)
        manager.maintenance.every(QUEUE_SECONDS, self.measure_queue)
        self.measure()

    def measure(self) -> None:
        """Sets the levels to what is true now; waits for nobody."""
        statuses = Counter(live.status for live in self._manager.live_runs())
        self._metrics.set_levels(
            Levels(
                runs={status: statuses[status] for status in LIVE},
                streams=self._manager.places.taken,
                streams_limit=self._manager.places.limit,
                threads_limit=self._threads_limit,
                waiting_requests=len(self._control.line),
                database_connections=self._store.database.in_use,
            )
        )

    def measure_queue(self) -> None:
        """Asks the database how many messages wait. StoreUnavailable."""
        self._metrics.set_queued(self._store.queue.depths())
