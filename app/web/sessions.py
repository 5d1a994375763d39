"""Routes of sessions: create, import, copy, delete. `session_reads` shows them, and `session_settings` changes them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Final

from flask import Response
from pydantic import BeforeValidator, Field

from app import errors
from app.conversation.session import Session
from app.conversation.transcript import Message
from app.roots import Roots
from app.runtime.run_control import RunControl
from app.store.idempotency import KeyUse, KeyUsed
from app.store.store import Store
from app.web.access import own_name, owner, requester, require_visible
from app.web.foreign_messages import Translation
from app.web.idempotent import idempotency_key
from app.web.imports import ImportSession, rows_of
from app.web.json_streaming import object_response
from app.web.query_parameters import IDEMPOTENCY_KEY, PRETTY, Choice, Seconds
from app.web.request_body import read, skip_body
from app.web.request_models import CreateSession, RequestModel, whole
from app.web.resource import Resource, ResponseSpec, delete, post
from app.web.response_json import MessageJson, json_response
from app.web.session_directory import session_directory
from app.web.session_json import CreatedSessionJson, SessionDetailJson, SessionView, created_session

DELETE_WAIT: Final = Choice(
    "wait", "`true`: 202 if the run has not ended within `timeout`.", ("true", "false"), "false"
)
DELETE_TIMEOUT: Final = Seconds(
    "timeout", "How long to wait for the run's end; at most 5 m.", most=300.0, default=10.0
)


Index = Annotated[int, Field(le=1_000_000_000), BeforeValidator(whole)]


class Fork(RequestModel):
    """`user_message_index`: the copy ends before this message of the user, counted from 0. `message_index`, which
    counts less: before this message, of whomever."""

    user_message_index: Index | None = None
    message_index: Index | None = None


class SessionResource(Resource):
    """Makes, copies and deletes sessions."""

    name = "sessions"
    prefix = "/api/sessions"

    def __init__(self, store: Store, control: RunControl, *, roots: Roots) -> None:
        self._store = store
        self._control = control
        self._view = SessionView(store)
        self._roots = roots

    @post(
        "",
        "Makes a session",
        body=CreateSession,
        parameters=(PRETTY, IDEMPOTENCY_KEY),
        answers={200: ResponseSpec("The session.", CreatedSessionJson, headers=("Idempotent-Replayed",))},
        refusals=(errors.IdempotencyConflict,),
    )
    def create(self) -> Response:
        body = read(CreateSession)
        return self._create(body, self._session(body), ())

    @post(
        "/import",
        "Makes a session of an exported one",
        body=ImportSession,
        parameters=(PRETTY, IDEMPOTENCY_KEY),
        answers={200: ResponseSpec("The session.", CreatedSessionJson, headers=("Idempotent-Replayed",))},
        refusals=(errors.IdempotencyConflict,),
    )
    def import_session(self) -> Response:
        """A new session that says what an export says; no run of it is imported, only what was said."""
        translation = Translation()
        body = read(ImportSession, shape=translation.body)
        transcript = rows_of(body.messages or ())
        session = replace(self._session(body), thinking=body.thinking)
        return self._create(body, session, transcript, left_out=translation.notes)

    def _session(self, body: CreateSession) -> Session:
        policy = body.policy
        return Session(
            id=str(uuid.uuid4()),
            created_at=self._store.database.now(),
            title=(body.title or "").strip(),
            owner=own_name(),
            working_dir=session_directory(body.working_dir or "", self._roots.of(own_name())),
            tools_approved=policy == "autonomous",
            chosen_policy="" if policy == "autonomous" else policy,
            max_iterations=body.max_iterations or 0,
            permissions=body.permissions.value() if body.permissions else None,
            choices=body.choices,
        )

    def _create(
        self,
        body: CreateSession,
        session: Session,
        transcript: Sequence[Message],
        *,
        left_out: Sequence[str] = (),
    ) -> Response:
        use = idempotency_key(body)
        if (again := self._again(use)) is not None:
            return again
        answer = created_session(session, left_out)
        key = replace(use, response=answer) if use is not None else None
        try:
            self._store.sessions.create(session, transcript=transcript, key=key)
        except KeyUsed:  # the same request, a moment before
            return self._again(use) or json_response(answer)
        return json_response(answer)

    def _again(self, use: KeyUse | None) -> Response | None:
        outcome = self._store.idempotency.outcome(use) if use is not None else None
        if outcome is None:
            return None
        response = json_response(outcome.response)
        response.headers["Idempotent-Replayed"] = "true"
        return response

    @post(
        "/<session:session_id>/fork",
        "Copies a session up to one of the user's messages",
        body=Fork,
        answers={200: ResponseSpec("The copy.", SessionDetailJson)},
        refusals=(errors.SessionNotFound, errors.SessionBusy),
    )
    def fork(self, session_id: str) -> Response:
        body = read(Fork)
        require_visible(self._store, session_id, "fork session")
        for name, index in body:
            if index is not None and index < 0:
                raise errors.InvalidRequest(f"{name} is counted from 0")
        new_id = str(uuid.uuid4())
        session = self._store.forks.fork(
            session_id,
            new_id,
            created_at=self._store.database.now(),
            owner=own_name(),
            before=body.user_message_index,
            before_any=body.message_index,
            visible_to=owner(),
        )
        return object_response(self._view.shown(session, None))

    @delete(
        "/<session:session_id>",
        "Stops a session's run and deletes the session",
        unread_body=True,
        parameters=(PRETTY, DELETE_WAIT, DELETE_TIMEOUT),
        answers={
            200: ResponseSpec("It is deleted.", MessageJson),
            202: ResponseSpec(
                "It is deleted; its run has not ended yet, and can't write any more.", MessageJson
            ),
        },
        refusals=(errors.SessionNotFound, errors.InvalidRequest, errors.SessionBusy),
    )
    def delete(self, session_id: str) -> Response:
        """Waits a while for the run to end in any case; with `wait`, says if that was not enough."""
        skip_body()
        waits = DELETE_WAIT.read() == "true"
        longest = DELETE_TIMEOUT.read()
        require_visible(self._store, session_id, "delete session")
        ended = self._control.delete(session_id, by=requester(), wait=longest)
        if waits and not ended:
            return json_response({"message": "session deleted, stop still in progress"}, 202)
        return json_response({"message": "session deleted"})
