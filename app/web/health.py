"""Is the process there, does it want work, and has anybody come yet?"""

from __future__ import annotations

import time
from typing import Final

from flask import Blueprint, Response

from app.errors import Draining, NoSessions
from app.runtime.runtime import Runtime
from app.runtime.streams.disconnects import DisconnectWatcher
from app.store.store import Store
from app.web.access import own_name, owner
from app.web.query_parameters import Seconds
from app.web.response_json import json_response
from app.web.sse import client_left

READY_TIMEOUT: Final = Seconds(
    "timeout", "How long to wait for a session; at most 5 m.", most=300.0, default=30.0
)
LOOK_SECONDS: Final = 0.25


def blueprint(store: Store, runtime: Runtime, disconnects: DisconnectWatcher) -> Blueprint:
    routes = Blueprint("health", __name__)

    @routes.get("/api/ping")
    @routes.get("/health")
    def ping() -> Response:
        return json_response({"status": "ok"})

    @routes.get("/ready")
    def ready() -> Response:
        """Draining or StoreUnavailable (503) while this process should get no new work."""
        if runtime.runs.draining:
            raise Draining()
        store.runs.recent(limit=1)
        return json_response({"status": "ready"})

    @routes.get("/api/ready")
    def sessions_ready() -> Response:
        """Waits until there is a session that the asker may see, in a stream's place, since it holds a thread.
        ServerFull, NoSessions, Draining."""
        deadline = time.monotonic() + READY_TIMEOUT.read()
        if not store.sessions.any(owner=owner()):
            _await_session(deadline)
        return json_response({"status": "ready"})

    def _await_session(deadline: float) -> None:
        place = runtime.slots.take(own_name())
        try:
            with client_left(disconnects) as left:
                while not store.sessions.any(owner=owner()):
                    if runtime.runs.draining:
                        raise Draining()
                    remaining = deadline - time.monotonic()
                    if remaining <= 0 or left.wait(min(remaining, LOOK_SECONDS)):
                        raise NoSessions()
        finally:
            place.give_back()

    return routes
