"""gunicorn's threaded worker, told of its stop, and with answers that outlive its main loop."""

from __future__ import annotations

import selectors
import time
from queue import SimpleQueue
from typing import Any

from gunicorn.workers.gthread import ThreadWorker


class StoppableWorker(ThreadWorker):
    """gunicorn sets `alive` to False when the worker is to stop, from wherever it learns that."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._stops: SimpleQueue[None] = SimpleQueue()
        super().__init__(*args, **kwargs)

    @property
    def alive(self) -> bool:
        """gunicorn's own: False once the worker has been asked to stop."""
        return self._alive

    @alive.setter
    def alive(self, alive: bool) -> None:
        self._alive = alive
        if not alive:
            self._stops.put(None)  # in a signal's handler, too, where no other lock may be taken

    def wait_for_stop(self) -> None:
        """For one thread, which sleeps until the worker is asked to stop."""
        self._stops.get()

    def handle_quit(self, sig: Any, frame: Any) -> None:
        """The main loop ends here and now. The interpreter waits for the pool's threads: one of them does what the
        loop would have done for the answers at work."""
        if self.alive:
            self.tpool.submit(self._see_through)
        super().handle_quit(sig, frame)

    def _see_through(self) -> None:
        deadline = time.monotonic() + self.cfg.graceful_timeout
        with selectors.DefaultSelector() as bell:
            bell.register(self.method_queue.fileno(), selectors.EVENT_READ)
            while self._answering and time.monotonic() < deadline:
                bell.select(1.0)
                self.method_queue.run_callbacks(None)

    @property
    def _answering(self) -> int:
        """Connections whose answer is being made."""
        return int(self.nr_conns) - self.idle_connections

    @property
    def idle_connections(self) -> int:
        """Connections that no answer is made for at the moment."""
        return len(self.keepalived_conns) + len(self.pending_conns)
