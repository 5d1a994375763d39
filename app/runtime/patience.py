"""Patience with a database that is away: a transaction that may be repeated is repeated, for a bounded time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final, ParamSpec, Protocol, TypeVar

from app.errors import RunCancelled, StoreUnavailable

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)

PATIENCE_SECONDS: Final = 15.0
CANCELLED_SECONDS: Final = 2.0
"""Patience that is left once the run is cancelled: enough for a connection that broke, so that its last words are
kept."""

FIRST_PAUSE: Final = 0.1  # seconds, doubled each time
MAX_PAUSE: Final = 1.0


class TimedCancellation(Protocol):
    """A run's: set once, `since` then, by the monotonic clock."""

    @property
    def since(self) -> float: ...

    def is_set(self) -> bool: ...

    def wait(self, timeout: float) -> bool: ...


class Patience:
    """Repeats a transaction while it raises StoreUnavailable, with backoff, for `PATIENCE_SECONDS`. Any thread may
    use it. For reads, and for writes that bear to be done twice, such as those that have a number.

    With a `cancellation`, once that is set it goes on for `CANCELLED_SECONDS`; not at all if `lost` says that another
    process has the run now.
    """

    def __init__(
        self, cancellation: TimedCancellation | None = None, *, lost: Callable[[], bool] = lambda: False
    ) -> None:
        self._cancellation = cancellation
        self._lost = lost

    def __call__(self, transact: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """Returns or raises the same as `transact`. At the end of patience: RunCancelled if the run was cancelled
        meanwhile, else StoreUnavailable."""
        began, pause = time.monotonic(), FIRST_PAUSE
        while True:
            try:
                result = transact(*arguments, **options)
            except StoreUnavailable as error:
                _outage.begin()
                if self._lost():
                    raise
                if time.monotonic() + pause > self._deadline(began):
                    if self._is_cancelled():
                        raise RunCancelled() from error
                    raise
                self._sleep(pause)
                pause = min(pause * 2, MAX_PAUSE)
            else:
                _outage.end()
                return result

    def around(self, transact: Callable[P, T]) -> Callable[P, T]:
        """The same function, but patient."""

        def patient(*arguments: P.args, **options: P.kwargs) -> T:
            return self(transact, *arguments, **options)

        return patient

    def _deadline(self, began: float) -> float:
        deadline = began + PATIENCE_SECONDS
        if self._cancellation is None or not self._cancellation.is_set():
            return deadline
        return min(deadline, max(began, self._cancellation.since) + CANCELLED_SECONDS)

    def _is_cancelled(self) -> bool:
        return self._cancellation is not None and self._cancellation.is_set()

    def _sleep(self, seconds: float) -> None:
        """Less, if the run is cancelled meanwhile."""
        if self._cancellation is None or self._cancellation.is_set():
            time.sleep(seconds)
        else:
            self._cancellation.wait(seconds)


class _Outage:
    """The time during which the process's database is away. It is logged once, however many runs wait."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._since: float | None = None  # monotonic

    def begin(self) -> None:
        """Call it where the error is handled: the log shows it."""
        with self._guard:
            if self._since is not None:
                return
            self._since = time.monotonic()
        log.warning("the database does not answer; runs wait for it", exc_info=True)

    def end(self) -> None:
        if self._since is None:  # as a rule; without the lock, since any later transaction does as well
            return
        with self._guard:
            since, self._since = self._since, None
        if since is not None:
            log.warning("the database answers again, after %.1f s", time.monotonic() - since)


_outage: Final = _Outage()
