"""Tells when somebody begins to use the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from flask import Flask, Response, request

from app.web.health import HealthResource
from app.web.metrics_route import MetricsResource

_WATCHERS: Final = (HealthResource.name, MetricsResource.name)
"""Their callers look whether the server is well, which is no use of it."""


def on_first_use(app: Flask, act: Callable[[], object]) -> None:
    """Calls `act` once, or a few times at the same moment, when the first request of a user is answered; one without
    a route counts as none. It must not block."""
    used = False

    def note(response: Response) -> Response:
        nonlocal used
        if not used and request.endpoint and request.endpoint.partition(".")[0] not in _WATCHERS:
            used = True
            act()
        return response

    app.after_request(note)
