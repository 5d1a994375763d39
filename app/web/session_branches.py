"""The routes that go on with a conversation elsewhere: in a copy, or with another agent."""

from __future__ import annotations

import uuid
from typing import Annotated, Final

from flask import Response
from pydantic import BeforeValidator, Field
from typing_extensions import TypedDict

from app import errors
from app.runtime.conversation_editor import ConversationEditor
from app.runtime.session_agents import SessionAgent, SessionAgents
from app.store.store import Store
from app.web.access import own_name, owner
from app.web.json_streaming import wrapped_response
from app.web.request_body import read
from app.web.request_models import Name, RequestModel, whole
from app.web.resource import Resource, ResponseSpec, post
from app.web.session_agent import REFUSALS, SessionMetadataJson, metadata
from app.web.session_json import SessionDetailJson, SessionView


class BranchSession(RequestModel):
    """`position`: how many of the messages the new session has; all, unless it is said. `message_id`: up to and with
    the message that events name so, and the results of its calls. `expected_snapshot` proves nothing here, so it is
    refused."""

    position: Annotated[int, Field(ge=0, le=1_000_000_000), BeforeValidator(whole)] | None = None
    message_id: Name | None = None
    expected_snapshot: Name | None = None


class SwitchAgent(RequestModel):
    agent_name: Annotated[Name, Field(min_length=1)]


class BranchJson(TypedDict):
    metadata: SessionMetadataJson
    session: SessionDetailJson


_MADE: Final = {201: ResponseSpec("The new session.", BranchJson)}
_REFUSALS: Final = (*REFUSALS, errors.SessionBusy, errors.InvalidRequest)


class SessionBranchResource(Resource):
    """Makes new sessions of the conversations of others, which stay as they are."""

    name = "sessions"
    prefix = "/api/sessions/<session:session_id>"

    def __init__(self, store: Store, agents: SessionAgents, editor: ConversationEditor) -> None:
        self._store = store
        self._agents = agents
        self._editor = editor
        self._view = SessionView(store)

    @post(
        "/branches",
        "Copies a session that no run has, up to one of its messages",
        body=BranchSession,
        answers=_MADE,
        refusals=(*_REFUSALS, errors.MessageNotFound),
    )
    def branch(self, session_id: str) -> Response:
        """Unlike `fork` it counts all messages, and never copies a conversation that is just going on."""
        body = read(BranchSession)
        found = self._agents.find(session_id, owner=owner())
        if body.expected_snapshot:
            raise errors.InvalidRequest(
                "expected_snapshot is not known here: leave it out, and position alone counts", status=422
            )
        return self._branched(found, body.position, through=body.message_id or "")

    @post(
        "/switch-agent",
        "Copies a session that no run has for another agent",
        body=SwitchAgent,
        answers=_MADE,
        refusals=_REFUSALS,
    )
    def switch(self, session_id: str) -> Response:
        """Runs of the copy that name no agent begin with the new one, and so does what waits for it. AgentNotFound if
        the agent file has no such agent."""
        name = read(SwitchAgent).agent_name
        found = self._agents.find(session_id, owner=owner())
        return self._branched(found.switched_to(name), None, model="")

    def _branched(
        self, found: SessionAgent, length: int | None, *, through: str = "", **changes: str
    ) -> Response:
        session_id = found.session.id
        with self._editor.editing(session_id):
            pass  # a run whose process is dead is none
        session = self._store.forks.fork(
            session_id,
            str(uuid.uuid4()),
            created_at=self._store.database.now(),
            owner=own_name(),
            before=None,
            before_any=length,
            through=through,
            visible_to=owner(),
            between_runs=True,
            handed_to=f"{found.team.key}/{found.own.name}",
            **changes,
        )
        told = {"metadata": metadata(found.in_copy(session))}
        return wrapped_response(told, "session", self._view.shown(session, None), 201)
