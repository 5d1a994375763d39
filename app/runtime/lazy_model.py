"""A model's client that is loaded while the server already answers: importing the SDK takes seconds."""

from __future__ import annotations

import gc
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from importlib import import_module
from types import ModuleType
from typing import Final

from app.agent.model import Cancellation, ModelClient, ModelError, ModelEvent, ModelRequest

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.05


def import_for_good(name: str) -> ModuleType:
    """For what makes hundreds of thousands of objects and never goes: the collector does not look through them
    again, which would stop every thread of the process for a tenth of a second."""
    known = name in sys.modules
    module = import_module(name)
    if not known:
        gc.collect()
        gc.freeze()
    return module


class LazyModel:
    """A ModelClient. Loading begins at once, on a thread of its own; calls that come earlier wait for it."""

    def __init__(self, load: Callable[[], ModelClient]) -> None:
        self._load = load
        self._client: ModelClient | None = None
        self._thread = threading.Thread(target=self._work, name="model-loader", daemon=True)
        self._thread.start()

    def stream(self, request: ModelRequest, cancellation: Cancellation) -> Iterator[ModelEvent]:
        while self._thread.is_alive():
            if cancellation.wait(LOOK_SECONDS):
                raise ModelError("cancelled", kind="cancelled")
        if self._client is None:
            raise ModelError(
                "the model's client could not be loaded; the server's log says why", kind="final"
            )
        yield from self._client.stream(request, cancellation)

    def close(self) -> None:
        """Waits for the loading and closes what was loaded."""
        self._thread.join()
        close = getattr(self._client, "close", None)
        if close is not None:
            close()

    def _work(self) -> None:
        try:
            self._client = self._load()
        except Exception:
            log.exception("the model's client could not be loaded")
