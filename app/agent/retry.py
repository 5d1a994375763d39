"""When a failed model call is tried again, and after how long. The only place that retries."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from app.agent.model_client import (
    Again,
    Cancellation,
    ModelClient,
    ModelError,
    ModelEvent,
    ModelRequest,
    Retrying,
)

RETRIES = 2
MAX_RETRY_AFTER = 60.0
_FIRST_DELAY = 0.2
MAX_DELAY = 2.0


def stream_with_retries(
    client: ModelClient,
    request: ModelRequest,
    cancellation: Cancellation,
    *,
    retries: int = RETRIES,
    waits_for_limits: bool = True,
    failed: Callable[[ModelError], None] = lambda _: None,
) -> Iterator[ModelEvent]:
    """The model's events, from as many attempts as it takes to see the first of them.

    Once anything was yielded nothing is tried again, so no text is ever seen twice. A wait ends at once when
    the run is cancelled; after an error that is `braked` the client waits instead. Without `waits_for_limits` a
    rate limit is not waited for. `failed` is told of each attempt that failed.
    """
    kinds = ("retryable", "rate_limited") if waits_for_limits else ("retryable",)
    attempt = 0
    while True:
        try:
            yield from client.stream(request, cancellation)
            return
        except ModelError as error:
            failed(error)
            if error.shown or attempt >= retries or error.kind not in kinds:
                raise
            yield Retrying(str(error), error.status)
            attempt += 1
            if error.braked:
                continue
            if cancellation.wait(_delay(attempt - 1, error)):
                raise ModelError("cancelled", kind="cancelled") from error
            yield Again()


def _delay(attempt: int, error: ModelError) -> float:
    if error.retry_after is not None:
        return min(error.retry_after, MAX_RETRY_AFTER)
    return float(min(_FIRST_DELAY * 2**attempt, MAX_DELAY) * random.uniform(0.9, 1.1))
