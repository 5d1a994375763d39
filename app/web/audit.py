"""The audit trail, for those who see everything."""

from __future__ import annotations

from typing import get_args

from flask import Blueprint, Response, request

from app.conversation.audit import Action, AuditEntry
from app.errors import InvalidRequest
from app.store.audit_store import AuditStore
from app.web.parameters import moment, session_filter, whole
from app.web.payloads import Json, json_response, time_text

DEFAULT_LIMIT = 100
MOST = 1000


def blueprint(trail: AuditStore) -> Blueprint:
    routes = Blueprint("audit", __name__, url_prefix="/api")

    @routes.get("/audit")
    def entries() -> Response:
        """Newest first; `next` is what `before` has to be to go on, null at the end."""
        limit = min(whole(request.args.get("limit"), "limit") or DEFAULT_LIMIT, MOST)
        found = trail.find(
            session_id=session_filter(),
            who=request.args["who"].replace("\0", "") if "who" in request.args else None,
            actions=_actions(),
            since=moment("since"),
            before=whole(request.args.get("before"), "before, the id of an entry,"),
            limit=limit + 1,
        )
        more = len(found) > limit
        return json_response(
            {
                "entries": [_payload(one) for one in found[:limit]],
                "next": found[limit - 1].id if more else None,
            }
        )

    return routes


def _actions() -> list[str]:
    known = get_args(Action)
    wanted = [word.strip() for word in request.args.get("action", "").split(",") if word.strip()]
    if not set(wanted) <= set(known):
        raise InvalidRequest(f"action is a list, separated by commas, of {', '.join(known)}", status=422)
    return wanted


def _payload(entry: AuditEntry) -> Json:
    return {
        "id": entry.id,
        "at": time_text(entry.at, whole=False),
        "who": entry.who,
        "role": entry.role,
        "action": entry.action,
        "session_id": entry.session_id,
        "run_id": entry.run_id,
        "detail": entry.detail,
        "request_id": entry.request_id,
    }
