"""Is the process there, and does it want work?"""

from __future__ import annotations

from flask import Blueprint, Response

from app.errors import Draining
from app.runtime.manager import RuntimeManager
from app.store.store import Store
from app.web.payloads import json_response


def blueprint(store: Store, manager: RuntimeManager) -> Blueprint:
    routes = Blueprint("health", __name__)

    @routes.get("/api/ping")
    @routes.get("/health")
    def ping() -> Response:
        return json_response({"status": "ok"})

    @routes.get("/ready")
    def ready() -> Response:
        """Draining or StoreUnavailable (503) while this process should get no new work."""
        if manager.draining:
            raise Draining()
        store.runs.recent(limit=1)
        return json_response({"status": "ready"})

    return routes
