"""Routes of a conversation's messages: say something without a run, change what was said, sum it up."""

from __future__ import annotations

from flask import Blueprint, Response

from app.runtime.conversation_editor import ConversationEditor
from app.store.store import Store
from app.web.access import owner
from app.web.error_prefix import error_prefix
from app.web.request_models import PutMessage, PutSummary, read
from app.web.response_json import json_response


def blueprint(store: Store, editor: ConversationEditor) -> Blueprint:
    routes = Blueprint("messages", __name__, url_prefix="/api/sessions/<session:session_id>")

    @routes.post("/messages")
    def add(session_id: str) -> Response:
        message = read(PutMessage).value()
        _visible(session_id, "add message")
        with editor.editing(session_id) as conversation:
            position = conversation.add(message)
        return json_response({"status": "added", "id": position}, 201)

    @routes.patch("/messages/<message:position>")
    def update(session_id: str, position: int) -> Response:
        message = read(PutMessage).value()
        _visible(session_id, "update message")
        with editor.editing(session_id) as conversation:
            conversation.edit(position, message)
        return json_response({"status": "updated"})

    @routes.post("/summaries")
    def summarize(session_id: str) -> Response:
        body = read(PutSummary)
        _visible(session_id, "add summary")
        with editor.editing(session_id) as conversation:
            conversation.summarize(body.summary, tokens=body.tokens)
        return json_response({"status": "added"}, 201)

    def _visible(session_id: str, what: str) -> None:
        """Before it can be found busy: a stranger is not told with what."""
        with error_prefix(what):
            store.sessions.get(session_id, owner=owner())

    return routes
