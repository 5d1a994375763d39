"""The routes of the tasks that a conversation gives away: whether it may, and their end."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from flask import Response
from typing_extensions import TypedDict

from app import errors
from app.conversation.session import Session
from app.runtime.run_control import RunControl
from app.store.store import Store
from app.web.access import owner, requester
from app.web.request_body import read, skip_body
from app.web.request_models import RequestModel
from app.web.resource import Resource, ResponseSpec, get, patch, post
from app.web.response_json import json_response, no_content

STOP_SECONDS: Final = 10.0
"""How long the request waits for the end of what it has stopped."""


class SetDelegationPolicy(RequestModel):
    enabled: bool


class DelegationPolicyJson(TypedDict):
    enabled: bool


_SHOWN: Final = {200: ResponseSpec("Of the whole conversation.", DelegationPolicyJson)}


class DelegationResource(Resource):
    """Decides about tasks for other agents. A task's session stands for the conversation that it belongs to."""

    name = "sessions"
    prefix = "/api/sessions/<session:session_id>"

    def __init__(self, store: Store, control: RunControl) -> None:
        self._store = store
        self._control = control

    @get(
        "/delegation-policy",
        "Says whether a conversation gives tasks to other agents",
        answers=_SHOWN,
        refusals=(errors.SessionNotFound,),
    )
    def delegation(self, session_id: str) -> Response:
        return _shown(self._store.sessions.get(self._root(session_id)))

    @patch(
        "/delegation-policy",
        "Lets a conversation give tasks to other agents, or not",
        body=SetDelegationPolicy,
        answers=_SHOWN,
        refusals=(errors.SessionNotFound,),
    )
    def set_delegation(self, session_id: str) -> Response:
        """Counts at once, for new tasks: those that were given away go on. Hand-offs are no tasks."""
        enabled = read(SetDelegationPolicy).enabled

        def change(session: Session) -> Session:
            return replace(session, choices=replace(session.choices, without_tasks=not enabled))

        said = "on" if enabled else "off"
        return _shown(
            self._store.sessions.choose(self._root(session_id), change, "delegation", lambda _now: said)
        )

    def _root(self, session_id: str) -> str:
        session = self._store.sessions.get(session_id, owner=owner())
        return session.parent_id or session.id

    @post(
        "/stop-subtree",
        "Stops what runs in a session and in those of its tasks",
        unread_body=True,
        answers={204: ResponseSpec("It is stopped.")},
        refusals=(errors.SessionNotFound, errors.SessionBusy),
    )
    def stop_subtree(self, session_id: str) -> Response:
        """Nothing is deleted, and it is all right if nothing runs. SessionBusy for a task that the run of another
        session waits for: that run does it, and would have to be stopped."""
        skip_body()
        self._store.sessions.get(session_id, owner=owner())
        self._store.sessions.refuse_lent(session_id)
        try:
            stopped = self._control.cancel(session_id, by=requester(), wait=STOP_SECONDS)
        except errors.NotRunning:
            return no_content()
        self._store.audit.note("cancel", stopped.session_id, run_id=stopped.id, detail="stop-subtree")
        return no_content()


def _shown(session: Session) -> Response:
    return json_response({"enabled": not session.choices.without_tasks})
