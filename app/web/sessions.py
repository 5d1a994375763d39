"""Routes of sessions: create, copy, change, delete."""

from __future__ import annotations

import os
import stat
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from flask import Blueprint, Response

from app.conversation.session import Session
from app.conversation.transcript import Message
from app.errors import InvalidRequest
from app.roots import Ground, Roots
from app.runtime.run_control import RunControl
from app.store.idempotency import KeyUse, KeyUsed
from app.store.store import Store
from app.web.access import own_name, owner, requester, require_operator
from app.web.error_prefix import error_prefix
from app.web.foreign_messages import Translation
from app.web.imports import ImportSession, rows_of
from app.web.json_streaming import object_response
from app.web.query_parameters import Choice, Seconds, idempotency_key
from app.web.request_models import (
    CreateSession,
    Fork,
    SetBudget,
    SetPermissions,
    SetStarred,
    SetTitle,
    SetTokens,
    read,
    skip_body,
)
from app.web.response_json import (
    created_session,
    json_response,
)
from app.web.session_view import SessionView

DELETE_WAIT: Final = Choice(
    "wait", "`true`: 202 if the run has not ended within `timeout`.", ("true", "false"), "false"
)
DELETE_TIMEOUT: Final = Seconds(
    "timeout", "How long to wait for the run's end; at most 5 m.", most=300.0, default=10.0
)


def blueprint(store: Store, control: RunControl, *, roots: Roots) -> Blueprint:
    routes = Blueprint("sessions", __name__, url_prefix="/api/sessions")
    view = SessionView(store)

    @routes.post("")
    def create() -> Response:
        body = read(CreateSession)
        return _create(body, _session(body), ())

    @routes.post("/import")
    def import_session() -> Response:
        """A new session that says what an export says; no run of it is imported, only what was said."""
        translation = Translation()
        body = read(ImportSession, shape=translation.body)
        transcript = rows_of(body.messages or ())
        session = replace(_session(body), title=body.title or "", thinking=body.thinking)
        return _create(body, session, transcript, left_out=translation.notes)

    def _session(body: CreateSession) -> Session:
        return Session(
            id=str(uuid.uuid4()),
            created_at=store.database.now(),
            owner=own_name(),
            working_dir=_working_dir(body.working_dir or "", roots.of(own_name())),
            tools_approved=bool(body.tools_approved),
            max_iterations=body.max_iterations or 0,
            permissions=body.permissions.value() if body.permissions else None,
        )

    def _create(
        body: CreateSession, session: Session, transcript: Sequence[Message], *, left_out: Sequence[str] = ()
    ) -> Response:
        use = idempotency_key(body)
        if (again := _again(use)) is not None:
            return again
        answer = created_session(session)
        if left_out:
            answer["left_out"] = list(left_out)
        key = replace(use, response=answer) if use is not None else None
        try:
            store.sessions.create(session, transcript=transcript, key=key)
        except KeyUsed:  # the same request, a moment before
            return _again(use) or json_response(answer)
        return json_response(answer)

    def _again(use: KeyUse | None) -> Response | None:
        outcome = store.idempotency.outcome(use) if use is not None else None
        if outcome is None:
            return None
        response = json_response(outcome.response)
        response.headers["Idempotent-Replayed"] = "true"
        return response

    @routes.post("/<session:session_id>/fork")
    def fork(session_id: str) -> Response:
        before = read(Fork).user_message_index
        _allowed(session_id, "fork session")
        if before is not None and before < 0:
            raise InvalidRequest("user_message_index is counted from 0")
        new_id = str(uuid.uuid4())
        session = store.forks.fork(
            session_id,
            new_id,
            created_at=store.database.now(),
            owner=own_name(),
            before=before,
            visible_to=owner(),
        )
        return object_response(view.shown(session, None))

    @routes.delete("/<session:session_id>")
    def delete(session_id: str) -> Response:
        """Waits a while for the run to end in any case; with `wait`, says if that was not enough."""
        skip_body()
        waits = DELETE_WAIT.read() == "true"
        longest = DELETE_TIMEOUT.read()
        _allowed(session_id, "delete session")
        ended = control.delete(session_id, by=requester(), wait=longest)
        if waits and not ended:
            return json_response({"message": "session deleted, stop still in progress"}, 202)
        return json_response({"message": "session deleted"})

    @routes.patch("/<session:session_id>/title")
    def set_title(session_id: str) -> Response:
        title = read(SetTitle).title or ""
        _allowed(session_id, "update session title")
        store.sessions.set_title(session_id, title)
        return json_response({"id": session_id, "title": title})

    @routes.patch("/<session:session_id>/starred")
    def set_starred(session_id: str) -> Response:
        starred = read(SetStarred).starred
        _allowed(session_id, "star session")
        store.sessions.set_starred(session_id, starred)
        return json_response({"status": "updated"})

    @routes.patch("/<session:session_id>/tokens")
    def set_tokens(session_id: str) -> Response:
        body = read(SetTokens)
        _allowed(session_id, "update session tokens")
        store.sessions.set_tokens(session_id, body.input_tokens, body.output_tokens)
        return json_response({"status": "updated"})

    @routes.patch("/<session:session_id>/permissions")
    def set_permissions(session_id: str) -> Response:
        body = read(SetPermissions)
        _allowed(session_id, "update session permissions")
        permissions = body.permissions.value() if body.permissions else None
        store.sessions.set_permissions(session_id, permissions)
        return json_response({"message": "session permissions updated"})

    @routes.patch("/<session:session_id>/budget")
    def set_budget(session_id: str) -> Response:
        """The most that the session may cost, whatever the settings say; for operators."""
        budget = read(SetBudget).budget
        _allowed(session_id, "update session budget")
        require_operator()
        store.sessions.set_budget(session_id, budget)
        return json_response({"id": session_id, "budget": budget, "cost": store.quotas.spent(session_id)})

    @routes.post("/<session:session_id>/tools/toggle")
    def toggle_tools(session_id: str) -> Response:
        skip_body()
        _allowed(session_id, "toggle session tool approval mode")
        store.sessions.toggle_tools_approved(session_id)
        return json_response(None)

    @routes.post("/<session:session_id>/thinking/toggle")
    def toggle_thinking(session_id: str) -> Response:
        skip_body()
        _allowed(session_id, "toggle session thinking mode")
        store.sessions.toggle_thinking(session_id)
        return json_response(None)

    def _allowed(session_id: str, what: str) -> None:
        """SessionNotFound, in the contract's words, for sessions that are not there or somebody else's."""
        with error_prefix(what):
            store.sessions.get(session_id, owner=owner())

    return routes


def _working_dir(wanted: str, ground: Ground) -> str:
    """An absolute, existing directory of the asker's ground; empty for the default one.

    A path outside is refused before the disk is asked, in the same words whether it exists or not. A path whose
    links lead outside is refused in the same way.
    """
    wanted = wanted.strip()
    if not wanted:
        return ""
    outside = InvalidRequest(
        f"failed to create session: {wanted} is outside the directories where sessions may work", status=422
    )
    try:
        path = Path(os.path.abspath(Path(wanted).expanduser()))
        if not any(path.is_relative_to(root) for root in (*ground.spelled, *ground.roots)):
            raise outside
        resolved = path.resolve()
    except (OSError, RuntimeError, ValueError):  # a loop of links, a user without a home, a NUL
        raise outside from None
    if not ground.allows(resolved):
        raise outside
    try:
        is_directory = stat.S_ISDIR(resolved.stat().st_mode)
    except OSError:
        raise InvalidRequest(
            f"failed to create session: stat {wanted}: no such file or directory", status=422
        ) from None
    if not is_directory:
        raise InvalidRequest("failed to create session: working directory must be a directory", status=422)
    return str(resolved)
