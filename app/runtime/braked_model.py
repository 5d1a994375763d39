"""A model's client whose calls wait while the API wants the key to be left alone.

A 429 or 529 holds every call by that key to that model, in all processes on the database: the API counts its limits
so. Without it each run would retry for itself, and keep the key at its limit.
"""

from __future__ import annotations

import hashlib
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from app.agent.model_client import Cancellation, ModelClient, ModelError, ModelEvent, ModelRequest
from app.errors import StoreUnavailable
from app.store.brake_store import FIRST_SECONDS, MAX_SECONDS, BrakeStore

log = logging.getLogger(__name__)

PRESSED_BY: Final = (429, 529)
LOOK_SECONDS: Final = 1.0
"""How long what the database said is believed: while calls are made, one small read in this time."""

SPREAD_SECONDS: Final = 5.0
"""Calls that were held don't all begin at the same moment: each waits up to this longer, or twice the hold."""

MAX_HELD_SECONDS: Final = 120.0
"""A call that was held so long is made, whatever the brake says."""


class Brakes:
    """The brakes as this process knows them. Any thread may call it."""

    def __init__(self, store: BrakeStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._guard = threading.Lock()  # of both; never held over anything that can block
        self._held_until: dict[str, float] = {}
        self._looked_at: dict[str, float] = {}

    def seconds_left(self, key: str) -> float:
        """0 if the key is free. Without the database, what this process knows."""
        if self._is_look_due(key):
            try:
                self._hold(key, self._store.seconds_left(key))
            except StoreUnavailable:
                log.debug("the brakes can't be read", exc_info=True)
        with self._guard:
            return max(self._held_until.get(key, 0.0) - self._clock(), 0.0)

    def press(self, key: str, seconds: float | None) -> None:
        """`seconds` as the API named them; None if it did not."""
        with self._guard:
            left = self._held_until.get(key, 0.0) - self._clock()
        if left > 0 and min(seconds or 0.0, MAX_SECONDS) <= left:
            return  # one of many calls that were under way
        try:
            held = self._store.press(key, seconds)
        except StoreUnavailable:
            held = FIRST_SECONDS if seconds is None else min(seconds, MAX_SECONDS)
        log.warning("the model's API wants to be left alone: calls are held for %.1f s", held)
        self._hold(key, held)

    def _is_look_due(self, key: str) -> bool:
        with self._guard:
            now = self._clock()
            due = now - self._looked_at.get(key, float("-inf")) >= LOOK_SECONDS
            if due:
                self._looked_at[key] = now
            return due

    def _hold(self, key: str, seconds: float) -> None:
        with self._guard:
            self._held_until[key] = max(self._held_until.get(key, 0.0), self._clock() + seconds)


class BrakedModel:
    """A ModelClient. `api_key` and `base_url` are those that its calls use unless a request says otherwise; only
    digests of the key are kept."""

    def __init__(self, client: ModelClient, brakes: Brakes, *, api_key: str, base_url: str) -> None:
        self._client = client
        self._brakes = brakes
        self._base_url = base_url
        self._digest = hashlib.sha256(api_key.encode())
        self._keys: dict[tuple[str, str], str] = {}  # by address and model

    def stream(self, request: ModelRequest, cancellation: Cancellation) -> Iterator[ModelEvent]:
        key = self._key(request)
        self._wait(key, request, cancellation)
        try:
            yield from self._client.stream(request, cancellation)
        except ModelError as error:
            if error.status in PRESSED_BY and error.kind in ("rate_limited", "retryable"):
                self._brakes.press(key, error.retry_after)
                error.braked = True
            raise

    def _wait(self, key: str, request: ModelRequest, cancellation: Cancellation) -> None:
        waited = 0.0
        while waited < MAX_HELD_SECONDS and (left := self._brakes.seconds_left(key)) > 0:
            seconds = left + random.uniform(0.0, min(left, SPREAD_SECONDS))
            if request.held is not None and not request.held(seconds):
                raise ModelError(
                    f"calls of {request.model} are held for {seconds:.0f} s: the model's API refused earlier ones",
                    kind="rate_limited",
                    retry_after=left,
                )
            if cancellation.wait(seconds):
                raise ModelError("cancelled", kind="cancelled")
            waited += seconds

    def _key(self, request: ModelRequest) -> str:
        place = (request.base_url or self._base_url, request.model)
        if place not in self._keys:
            digest = self._digest.copy()
            digest.update("\0".join(("", *place)).encode())
            self._keys[place] = digest.hexdigest()
        return self._keys[place]
