"""Tells an endpoint what has happened, from what was written down with it, until it says that it has understood."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from typing import Final

from app.agent.model_client import Cancellation
from app.errors import StoreUnavailable
from app.runtime.live_run import RunCancellation
from app.store.delivery_store import Delivery, DeliveryStore
from app.telemetry.metrics import Metrics
from app.threads import ThreadedService

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
TAKEN_SECONDS: Final = 60.0
"""How long a delivery is nobody else's: longer than an attempt may take, as `send` bounds it."""

FIRST_PAUSE: Final = 5.0  # seconds from the first attempt to the second; each further one is twice as long,
LONGEST_PAUSE: Final = 3600.0  # up to this

Send = Callable[[Delivery, Cancellation], int]
"""The HTTP status of the endpoint's answer. OSError if there is none; on a cancel there is none."""


class Webhooks(ThreadedService):
    """One per process; several processes share the work. Each event is delivered at least once, or given up after
    `delivery_store.KEEP_SECONDS`; a receiver knows a repeated one by its id. The order of events is not kept.

    An answer of 300 to 399 disables the endpoint for all processes, until one of them is started anew."""

    def __init__(self, deliveries: DeliveryStore, address: str, send: Send, metrics: Metrics) -> None:
        super().__init__(webhooks=self._work)
        self._deliveries = deliveries
        self._endpoint = hashlib.sha256(address.encode()).hexdigest()
        self._send = send
        self._metrics = metrics
        self._cut = RunCancellation()
        deliveries.enable(self._endpoint)
        deliveries.announce(wanted=True)

    def _work(self) -> None:
        was_away = False
        while not self._stopping.wait(LOOK_SECONDS):
            try:
                self._look()
                was_away = False
            except StoreUnavailable:
                if not was_away:
                    log.warning("the database does not answer; webhooks are told later")
                was_away = True
            except Exception:
                log.exception("telling a webhook failed; it is tried again")

    def _wake_up(self) -> None:
        self._cut.cancel("shutdown")

    def _look(self) -> None:
        disabled = self._deliveries.is_disabled(self._endpoint)
        self._deliveries.announce(wanted=not disabled)
        while not disabled and not self._stopping.is_set():
            delivery = self._deliveries.take(seconds=TAKEN_SECONDS)
            if delivery is None:
                return
            disabled = self._attempt(delivery)

    def _attempt(self, delivery: Delivery) -> bool:
        """Did that disable the endpoint?"""
        try:
            status = self._send(delivery, self._cut)
            answer = f"it answered {status}"
        except OSError as error:
            if self._cut.is_set():
                return False  # whoever comes next tells it, once it is nobody's any more
            status, answer = 0, str(error)
        if 200 <= status < 300:
            self._deliveries.delivered(delivery.id)
            self._metrics.webhook_told("delivered")
        elif 300 <= status < 400:
            self._deliveries.announce(wanted=False)
            self._deliveries.disable(self._endpoint)
            self._metrics.webhook_told("disabled")
            log.error("the webhook is disabled until a server is started anew: %s", answer)
            return True
        elif self._deliveries.failed(delivery.id, again_in=pause_after(delivery.attempts)):
            self._metrics.webhook_told("failed")
            log.warning("webhook %s (%s) is told again later: %s", delivery.id, delivery.type, answer)
        else:
            self._metrics.webhook_told("given_up")
            log.error("webhook %s (%s) is given up: %s", delivery.id, delivery.type, answer)
        return False


def pause_after(attempts: int) -> float:
    """Seconds until the next attempt, when there were so many before the one that failed."""
    return min(FIRST_PAUSE * 2.0 ** min(attempts, 20), LONGEST_PAUSE)
