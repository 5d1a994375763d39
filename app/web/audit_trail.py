"""The audit trail, for operators and readers."""

from __future__ import annotations

from typing import Final, get_args

from flask import Response
from typing_extensions import TypedDict

from app import errors
from app.conversation.audit_entry import Action, AuditEntry
from app.store.audit_store import AuditStore
from app.web.query_parameters import PRETTY, SESSION_ID, Matching, Moment, Parameter, WordList
from app.web.resource import Resource, ResponseSpec, get
from app.web.response_json import Time, json_response, time_text

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


class AuditRecordJson(TypedDict):
    id: int
    at: Time
    who: str
    role: str
    action: str
    session_id: str | None
    run_id: str | None
    detail: str
    request_id: str


class AuditTrailJson(TypedDict):
    """`next` is what `before` has to be to go on; null at the end."""

    entries: list[AuditRecordJson]
    next: int | None


class AuditResource(Resource):
    """The entries of the trail."""

    name = "audit"
    prefix = "/api"

    def __init__(self, trail: AuditStore) -> None:
        self._trail = trail

    @get(
        "/audit",
        "Who did what to which session, newest first",
        parameters=(PRETTY, SESSION, WHO, ACTION, AFTER, BEFORE, LIMIT),
        answers={200: ResponseSpec("Entries.", AuditTrailJson)},
        refusals=(errors.InvalidRequest,),
    )
    def entries(self) -> Response:
        """Newest first; `next` is what `before` has to be to go on, null at the end."""
        limit = min(int(LIMIT.read() or 0) or DEFAULT_LIMIT, MOST)
        who, before = WHO.given(), BEFORE.read()
        found = self._trail.find(
            session_id=SESSION.read(),
            who=who.replace("\0", "") if who is not None else None,
            actions=ACTION.read(),
            since=AFTER.read(),
            before=int(before) if before else None,
            limit=limit + 1,
        )
        more = len(found) > limit
        body: AuditTrailJson = {
            "entries": [_payload(one) for one in found[:limit]],
            "next": found[limit - 1].id if more else None,
        }
        return json_response(body)


def _payload(entry: AuditEntry) -> AuditRecordJson:
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
