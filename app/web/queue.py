"""Routes of what waits for a run: steer, follow up, look, edit, withdraw."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Blueprint, Response

from app.conversation.blocks import Block
from app.conversation.queued_message import CAPACITY
from app.errors import NotRunning
from app.runtime.run_control import RunControl, queued_messages
from app.store.idempotency import KeyUse, KeyUsed, answered
from app.store.store import Store
from app.web import response_models
from app.web.access import owner, requester
from app.web.error_prefix import error_prefix
from app.web.query_parameters import idempotency_key
from app.web.request_models import read_messages, skip_body
from app.web.response_json import json_response, queued_answer, queued_payload


def store_follow_ups(
    store: Store,
    control: RunControl,
    session_id: str,
    contents: Sequence[Sequence[Block]],
    use: KeyUse | None,
    *,
    agent: str | None = None,
) -> response_models.QueuedJson:
    """Stores messages for afterwards; the answer says whether a run is at work that will come to them. QueueFull,
    KeyUsed; SessionBusy if they are meant for another `agent` than the one that would come to them."""
    follow_ups = queued_messages(session_id, "followup", contents, by=requester(), at=store.database.now())
    answer = queued_answer("queued_streaming", follow_ups)
    if not control.follow_up(follow_ups, agent=agent, idempotency=answered(use, answer)):
        answer = queued_answer("queued_idle", follow_ups)
        store.idempotency.correct(use, answer)
    return answer


def blueprint(store: Store, control: RunControl) -> Blueprint:
    routes = Blueprint("queue", __name__, url_prefix="/api/sessions/<session:session_id>")

    @routes.post("/steer")
    def steer(session_id: str) -> Response:
        contents = [message.content for message in read_messages()]
        _visible(session_id, "steer session")
        use = idempotency_key(contents)
        if (again := _again(use)) is not None:
            return again
        steers = queued_messages(session_id, "steer", contents, by=requester(), at=store.database.now())
        answer = queued_answer("queued", steers)
        try:
            control.steer(
                steers,
                idempotency=answered(use, answer),
            )
        except NotRunning:
            raise NotRunning("failed to steer session: session not found or not running") from None
        except KeyUsed:
            return _again(use) or json_response(answer, 202)
        return json_response(answer, 202)

    @routes.post("/followup")
    def follow_up(session_id: str) -> Response:
        contents = [message.content for message in read_messages()]
        _visible(session_id, "follow up session")
        use = idempotency_key(contents)
        if (again := _again(use)) is not None:
            return again
        try:
            return json_response(store_follow_ups(store, control, session_id, contents, use), 202)
        except KeyUsed:  # the same request, a moment before
            if (again := _again(use)) is None:
                raise
            return again

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
        contents = [message.content for message in read_messages(exactly_one=True)]
        _visible(session_id, "edit the queue")
        edited = store.queue.edit(session_id, message_id, contents[0])
        return json_response(queued_payload(edited))

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
        with error_prefix(what):
            store.sessions.get(session_id, owner=owner())

    return routes
