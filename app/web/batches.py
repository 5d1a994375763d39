"""Routes for many sessions at once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Annotated, Final, Literal, NotRequired

from flask import Response, request
from pydantic import Field
from typing_extensions import TypedDict

from app import errors
from app.conversation.session import Session
from app.runtime.run_control import RunControl
from app.store.store import Store
from app.web.access import owner, requester
from app.web.json_streaming import Listed, objects_response
from app.web.request_body import read
from app.web.request_models import Name, RequestModel
from app.web.resource import Resource, ResponseSpec, post
from app.web.response_json import Time, json_response, time_text, without_empty
from app.web.session_json import SessionDetailJson, SessionView

STOP_SECONDS: Final = 10.0
"""How long a batch waits for the ends of the runs that it stops, all together."""
MAX_BATCH: Final = 1000  # sessions

Ids = Annotated[list[Name], Field(min_length=1, max_length=MAX_BATCH)]


class Batch(RequestModel):
    """Ids of what is not there are no mistake: the answer says which."""

    session_ids: Ids


class BatchDeletedJson(TypedDict):
    """`failed_ids`: the ids that were not there."""

    deleted_count: int
    failed_count: int
    failed_ids: NotRequired[list[str]]


class BatchExportJson(TypedDict):
    """`failed_ids`: the ids that were not there."""

    export_format: Literal["json"]
    timestamp: Time
    sessions: list[SessionDetailJson]
    session_count: int
    failed_ids: NotRequired[list[str]]


class BatchResource(Resource):
    """Deletes or shows up to `MAX_BATCH` sessions."""

    name = "batches"
    prefix = "/api/sessions/batch"

    def __init__(self, store: Store, control: RunControl) -> None:
        self._store = store
        self._control = control
        self._view = SessionView(store)

    @post(
        "/delete",
        "Deletes sessions, and stops their runs",
        body=Batch,
        answers={200: ResponseSpec("How many there were.", BatchDeletedJson)},
    )
    def delete(self) -> Response:
        """Each session is deleted or not, whatever becomes of the others."""
        found, failed = self._found(read(Batch).session_ids)
        for session in found:
            self._control.interrupt(session.id, by=requester())
        deadline = time.monotonic() + STOP_SECONDS
        deleted = 0
        for session in found:
            left = max(0.0, deadline - time.monotonic())
            try:
                self._control.delete(session.id, by=requester(), wait=left)
                deleted += 1
            except (errors.SessionNotFound, errors.SessionBusy):
                # somebody else was faster; or it is the session of a task that is at work
                failed.append(session.id)
        body: BatchDeletedJson = {"deleted_count": deleted, "failed_count": len(failed), "failed_ids": failed}
        return json_response(without_empty(BatchDeletedJson, body))

    @post(
        "/export",
        "Shows sessions with their messages",
        body=Batch,
        answers={200: ResponseSpec("Those that are there.", BatchExportJson)},
    )
    def export(self) -> Response:
        """One session is read at a time, while it is written; sessions that are not there are left out, and named."""
        found, failed = self._found(read(Batch).session_ids)
        before = {"export_format": "json", "timestamp": time_text(time.time())}
        after = {"session_count": len(found), **({"failed_ids": failed} if failed else {})}
        return objects_response(before, "sessions", self._exports(found), after)

    def _exports(self, found: Sequence[Session]) -> Iterator[Listed]:
        for session in found:
            yield self._view.shown(session, None, always=True)

    def _found(self, session_ids: Sequence[str]) -> tuple[list[Session], list[str]]:
        """Each once: the sessions that the asker may see, and the ids of the others."""
        found: list[Session] = []
        failed: list[str] = []
        for session_id in dict.fromkeys(session_ids):
            try:
                found.append(self._store.sessions.get(session_id, owner=owner()))
            except errors.SessionNotFound:
                failed.append(session_id)
        self._note_refused(failed)
        return found, failed

    def _note_refused(self, session_ids: Sequence[str]) -> None:
        """Somebody else's session looks as if it were not there, and the trail names the caller who tried."""
        if owner() is None:
            return
        for session_id in {*session_ids} - self._store.sessions.missing(session_ids):
            self._store.audit.note("refused", session_id, detail=f"{request.method} {request.path}: 404")
