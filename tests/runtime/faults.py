"""A store whose methods fail when the test says so."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from app.store.store import Store


class Faults:
    """Makes one method of one of the stores raise, from its n-th call on, so many times."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def inject(
        self, place: str, error: Exception, *, times: int = 1, skip: int = 0, after: bool = False
    ) -> threading.Event:
        """`place` is like `runs.finish`. With `after` the work is done, and only its answer is lost. The event is set
        at the first failure."""
        part_name, _, method = place.partition(".")
        part: Any = getattr(self._store, part_name)
        real: Callable[..., Any] = getattr(part, method)
        state = {"skip": skip, "times": times}
        failed = threading.Event()

        def faulty(*arguments: Any, **options: Any) -> Any:
            if state["skip"]:
                state["skip"] -= 1
                return real(*arguments, **options)
            if not state["times"]:
                return real(*arguments, **options)
            state["times"] -= 1
            if after:
                real(*arguments, **options)
            failed.set()
            raise error

        setattr(part, method, faulty)
        return failed
