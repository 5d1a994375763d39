"""A model's client that is loaded when somebody uses the server, while it answers: importing the SDK takes a second,
and 40 MiB."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from importlib import import_module
from types import ModuleType
from typing import Final

from app.agent.model_client import Cancellation, ModelClient, ModelError, ModelEvent, ModelRequest
from app.errors import ServerFull
from app.threads import ServiceThread

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


def load_anthropic(
    api_key: str, base_url: str, *, reading: Callable[[], AbstractContextManager[None]]
) -> ModelClient:
    """Imports the Anthropic SDK, which takes seconds: not before the server answers. `reading` is entered around each
    round of reading from models."""
    adapter = import_for_good("app.agent.anthropic.anthropic_model")
    client: ModelClient = adapter.AnthropicModel(api_key, base_url or None, reading=reading)
    return client


class LazyModel:
    """A ModelClient. Loading happens on a thread of its own; calls that come earlier wait for it. Loading that failed
    is tried again by the next call."""

    def __init__(self, load: Callable[[], ModelClient], *, at_once: bool = True) -> None:
        """Loading begins `at_once`, or with `prepare`, or with the first call."""
        self._load = load
        self._client: ModelClient | None = None
        self._loading = ServiceThread(self._work, name="model-loader")
        if at_once:
            self.prepare()

    def prepare(self) -> None:
        """Begins to load the client, and waits for nothing. From any thread, any number of times."""
        if self._client is not None:
            return
        try:
            self._loading.ensure_running()
        except ServerFull:
            log.warning("the model's client will be loaded by the first call", exc_info=True)

    def stream(self, request: ModelRequest, cancellation: Cancellation) -> Iterator[ModelEvent]:
        yield from self._loaded(cancellation).stream(request, cancellation)

    def _loaded(self, cancellation: Cancellation) -> ModelClient:
        if self._client is None:
            try:
                self._loading.ensure_running()
            except ServerFull as error:
                raise ModelError(error.message, kind="retryable") from error
        while self._loading.running:
            if cancellation.wait(LOOK_SECONDS):
                raise ModelError("cancelled", kind="cancelled")
        if self._client is None:
            raise ModelError(
                "the model's client could not be loaded; the server's log says why", kind="final"
            )
        return self._client

    def close(self) -> None:
        """Waits for the loading and closes what was loaded."""
        self._loading.close()
        self._loading.join()
        close = getattr(self._client, "close", None)
        if close is not None:
            close()

    def _work(self) -> None:
        if self._client is not None:
            return  # loaded between the look at it and the start of this thread
        try:
            self._client = self._load()
        except Exception:
            log.exception("the model's client could not be loaded")
