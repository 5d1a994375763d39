"""Routes for many sessions at once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Final

from flask import Blueprint, Response, request

from app.conversation.session import Session
from app.errors import SessionBusy, SessionNotFound
from app.runtime.run_control import RunControl
from app.store.store import Store
from app.web import response_models
from app.web.access import owner, requester
from app.web.json_streaming import Listed, objects_response
from app.web.request_models import Batch, read
from app.web.response_json import json_response, time_text
from app.web.session_view import SessionView

STOP_SECONDS: Final = 10.0
"""How long a batch waits for the ends of the runs that it stops, all together."""


def blueprint(store: Store, control: RunControl) -> Blueprint:
    routes = Blueprint("batches", __name__, url_prefix="/api/sessions/batch")
    view = SessionView(store)

    @routes.post("/delete")
    def delete() -> Response:
        """Each session is deleted or not, whatever becomes of the others."""
        found, failed = _found(read(Batch).session_ids)
        for session in found:
            control.interrupt(session.id, by=requester())
        deadline = time.monotonic() + STOP_SECONDS
        deleted = 0
        for session in found:
            left = max(0.0, deadline - time.monotonic())
            try:
                control.delete(session.id, by=requester(), wait=left)
                deleted += 1
            except (SessionNotFound, SessionBusy):  # somebody else was faster; it is a task's that is at work
                failed.append(session.id)
        shown: response_models.BatchDeletedJson = {"deleted_count": deleted, "failed_count": len(failed)}
        if failed:
            shown["failed_ids"] = failed
        return json_response(shown)

    @routes.post("/export")
    def export() -> Response:
        """One session is read at a time, while it is written; sessions that are not there are left out, and named."""
        found, failed = _found(read(Batch).session_ids)
        before = {"export_format": "json", "timestamp": time_text(time.time())}
        after = {"session_count": len(found), **({"failed_ids": failed} if failed else {})}
        return objects_response(before, "sessions", _exports(found), after)

    def _exports(found: Sequence[Session]) -> Iterator[Listed]:
        for session in found:
            yield view.shown(session, None, always=True)

    def _found(session_ids: Sequence[str]) -> tuple[list[Session], list[str]]:
        """Each once: the sessions that the asker may see, and the ids of the others."""
        found: list[Session] = []
        failed: list[str] = []
        for session_id in dict.fromkeys(session_ids):
            try:
                found.append(store.sessions.get(session_id, owner=owner()))
            except SessionNotFound:
                failed.append(session_id)
        _note_refused(failed)
        return found, failed

    def _note_refused(session_ids: Sequence[str]) -> None:
        """Somebody else's session looks as if it were not there, and the trail names the caller who tried."""
        if owner() is None:
            return
        for session_id in {*session_ids} - store.sessions.missing(session_ids):
            store.audit.note("refused", session_id, detail=f"{request.method} {request.path}: 404")

    return routes
