"""Routes of what waits for a run: steer, follow up, look, edit, withdraw."""

from __future__ import annotations

import time
from dataclasses import replace

from flask import Blueprint, Response

from app.conversation.queue import CAPACITY
from app.errors import NotRunning
from app.runtime.control import RunControl
from app.store.idempotency import KeyUse, KeyUsed
from app.store.store import Store
from app.web.access import asker, owner
from app.web.bodies import read_messages, skip_body
from app.web.parameters import idempotency_key
from app.web.payloads import json_response, queued_payload
from app.web.wording import attempt


def blueprint(store: Store, control: RunControl) -> Blueprint:
    routes = Blueprint("queue", __name__, url_prefix="/api/sessions/<session:session_id>")

    @routes.post("/steer")
    def steer(session_id: str) -> Response:
        contents = [message.content for message in read_messages(time.time())]
        _visible(session_id, "steer session")
        use = idempotency_key(contents)
        if (again := _again(use)) is not None:
            return again
        try:
            answer = {"status": "queued"}
            queued = control.steer(session_id, contents, by=asker(), idempotency=_with(use, answer))
        except NotRunning:
            raise NotRunning("failed to steer session: session not found or not running") from None
        except KeyUsed:
            return _again(use) or json_response(answer, 202)
        return json_response({**answer, "messages": [queued_payload(message) for message in queued]}, 202)

    @routes.post("/followup")
    def follow_up(session_id: str) -> Response:
        contents = [message.content for message in read_messages(time.time())]
        _visible(session_id, "follow up session")
        use = idempotency_key(contents)
        if (again := _again(use)) is not None:
            return again
        try:
            queued, running = control.follow_up(
                session_id, contents, by=asker(), idempotency=_with(use, {"status": "queued_streaming"})
            )
        except KeyUsed:
            return _again(use) or json_response({"status": "queued_streaming"}, 202)
        status = "queued_streaming" if running else "queued_idle"
        body = {"status": status, "messages": [queued_payload(message) for message in queued]}
        return json_response(body, 202)

    @routes.get("/queue")
    def look(session_id: str) -> Response:
        _visible(session_id, "read the queue")
        waiting = store.queue.waiting(session_id)
        depths = {
            kind: {"depth": sum(message.kind == kind for message in waiting), "capacity": CAPACITY}
            for kind in ("steer", "followup")
        }
        return json_response({**depths, "messages": [queued_payload(message) for message in waiting]})

    @routes.patch("/queue/<session:message_id>")
    def edit(session_id: str, message_id: str) -> Response:
        contents = [message.content for message in read_messages(time.time(), exactly_one=True)]
        _visible(session_id, "edit the queue")
        return json_response(queued_payload(store.queue.edit(session_id, message_id, contents[0])))

    @routes.delete("/queue/<session:message_id>")
    def withdraw(session_id: str, message_id: str) -> Response:
        skip_body()
        _visible(session_id, "edit the queue")
        store.queue.withdraw(session_id, message_id)
        return json_response({"message": "message withdrawn"})

    def _again(use: KeyUse | None) -> Response | None:
        outcome = store.idempotency.outcome(use) if use is not None else None
        return json_response({**outcome.response, "duplicate": True}, 202) if outcome is not None else None

    def _visible(session_id: str, what: str) -> None:
        with attempt(what):
            store.sessions.get(session_id, owner=owner())

    return routes


def _with(use: KeyUse | None, response: dict[str, str]) -> KeyUse | None:
    return replace(use, response=response) if use is not None else None
