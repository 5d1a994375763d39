"""The route that shows all of a session for whoever has to save it."""

from __future__ import annotations

from flask import Response

from app import errors
from app.store.store import Store
from app.web.access import owner
from app.web.json_streaming import object_response
from app.web.resource import Resource, ResponseSpec, get
from app.web.response_json import Patterns
from app.web.session_json import SessionDetailJson, SessionView


class RecoveryJson(SessionDetailJson):
    """A session as `import` takes it. `messages`, `working_dir` and `permissions` are always there."""

    working_dir: str  # type: ignore[misc]
    permissions: Patterns | None  # type: ignore[misc]


class SessionRecoveryResource(Resource):
    """Shows whole sessions to those who may see them."""

    name = "looking"
    prefix = "/api/sessions/<session:session_id>"

    def __init__(self, store: Store) -> None:
        self._store = store
        self._view = SessionView(store)

    @get(
        "/recovery",
        "Shows a session with all that is needed to make it anew",
        answers={200: ResponseSpec("The session.", RecoveryJson)},
        refusals=(errors.SessionNotFound,),
    )
    def recovery(self, session_id: str) -> Response:
        session = self._store.sessions.get(session_id, owner=owner())
        always = {"working_dir": session.working_dir, "permissions": session.permissions}
        return object_response(self._view.shown(session, None, more=always, always=True))
