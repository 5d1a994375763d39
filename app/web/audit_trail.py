"""The audit trail, for operators and readers."""

from __future__ import annotations

from typing import Final, get_args

from flask import Blueprint, Response

from app.conversation.audit_entry import Action, AuditEntry
from app.store.audit_store import AuditStore
from app.web import response_models
from app.web.query_parameters import SESSION_ID, Matching, Moment, Parameter, WordList
from app.web.response_json import json_response, time_text

DEFAULT_LIMIT: Final = 100
MOST: Final = 1000

LIMIT: Final = Matching(
    "limit",
    f"How many entries at most: {DEFAULT_LIMIT} unless said, and never more than {MOST}.",
    "[0-9]{0,18}",
    "limit is a whole number",
)
SESSION: Final = Matching("session", "Entries of this session.", SESSION_ID, "session is the id of a session")
WHO: Final = Parameter("who", "Entries of this name.")
ACTION: Final = WordList("action", "Entries of these actions.", get_args(Action))
AFTER: Final = Moment("since", "Entries from this time on.")
BEFORE: Final = Matching(
    "before",
    "Entries older than the one with this id.",
    "[0-9]{0,18}",
    "before, the id of an entry, is a whole number",
)


def blueprint(trail: AuditStore) -> Blueprint:
    routes = Blueprint("audit", __name__, url_prefix="/api")

    @routes.get("/audit")
    def entries() -> Response:
        """Newest first; `next` is what `before` has to be to go on, null at the end."""
        limit = min(int(LIMIT.read() or 0) or DEFAULT_LIMIT, MOST)
        who, before = WHO.given(), BEFORE.read()
        found = trail.find(
            session_id=SESSION.read(),
            who=who.replace("\0", "") if who is not None else None,
            actions=ACTION.read(),
            since=AFTER.read(),
            before=int(before) if before else None,
            limit=limit + 1,
        )
        more = len(found) > limit
        body: response_models.AuditTrailJson = {
            "entries": [_payload(one) for one in found[:limit]],
            "next": found[limit - 1].id if more else None,
        }
        return json_response(body)

    return routes


def _payload(entry: AuditEntry) -> response_models.AuditRecordJson:
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
