"""Routes that change one thing of a session: its title, its permissions, what it may cost."""

from __future__ import annotations

from typing import Annotated

from flask import Response
from pydantic import Field
from typing_extensions import TypedDict

from app import errors
from app.conversation.safety import GivenPolicy, SafetyPolicy, policy_named
from app.store.store import Store
from app.web.access import require_operator, require_visible
from app.web.request_body import read, skip_body
from app.web.request_models import Name, PermissionsBody, RequestModel, Tokens
from app.web.resource import DONE, NULL, UPDATED, Resource, ResponseSpec, patch, post
from app.web.response_json import json_response


class SetTitle(RequestModel):
    title: Name | None = None


class SetStarred(RequestModel):
    starred: bool


class SetTokens(RequestModel):
    input_tokens: Tokens
    output_tokens: Tokens


class SetPermissions(RequestModel):
    permissions: PermissionsBody | None = None


class SetPolicy(RequestModel):
    """Empty: as if none had been chosen."""

    safety_policy: GivenPolicy


class SetMode(RequestModel):
    mode: GivenPolicy


class SetBudget(RequestModel):
    """In dollars; null for what the settings say, 0 for no limit."""

    budget: Annotated[float, Field(ge=0, le=1_000_000_000, allow_inf_nan=False)] | None


class SessionTitleJson(TypedDict):
    id: str
    title: str


class SessionBudgetJson(TypedDict):
    """In dollars; `cost` is what the session has cost so far."""

    id: str
    budget: float | None
    cost: float


class SessionSettingsResource(Resource):
    """Changes fields of a session that no run writes, but for an approval for the session."""

    name = "sessions"
    prefix = "/api/sessions"

    def __init__(self, store: Store) -> None:
        self._store = store

    @patch(
        "/<session:session_id>/title",
        "Names a session",
        body=SetTitle,
        answers={200: ResponseSpec("The new title.", SessionTitleJson)},
        refusals=(errors.SessionNotFound,),
    )
    def set_title(self, session_id: str) -> Response:
        title = read(SetTitle).title or ""
        require_visible(self._store, session_id, "update session title")
        self._store.sessions.set_title(session_id, title)
        return json_response({"id": session_id, "title": title})

    @patch(
        "/<session:session_id>/starred",
        "Marks a session with a star, or not",
        body=SetStarred,
        answers={200: UPDATED},
        refusals=(errors.SessionNotFound,),
    )
    def set_starred(self, session_id: str) -> Response:
        starred = read(SetStarred).starred
        require_visible(self._store, session_id, "star session")
        self._store.sessions.set_starred(session_id, starred)
        return json_response({"status": "updated"})

    @patch(
        "/<session:session_id>/tokens",
        "Replaces a session's token counts",
        body=SetTokens,
        answers={200: UPDATED},
        refusals=(errors.SessionNotFound,),
    )
    def set_tokens(self, session_id: str) -> Response:
        body = read(SetTokens)
        require_visible(self._store, session_id, "update session tokens")
        self._store.sessions.set_tokens(session_id, body.input_tokens, body.output_tokens)
        return json_response({"status": "updated"})

    @patch(
        "/<session:session_id>/permissions",
        "Replaces a session's permissions",
        body=SetPermissions,
        answers={200: DONE},
        refusals=(errors.SessionNotFound,),
    )
    def set_permissions(self, session_id: str) -> Response:
        body = read(SetPermissions)
        require_visible(self._store, session_id, "update session permissions")
        permissions = body.permissions.value() if body.permissions else None
        self._store.sessions.set_permissions(session_id, permissions)
        return json_response({"message": "session permissions updated"})

    @patch(
        "/<session:session_id>/safety-policy",
        "Says which tool calls run without a question",
        body=SetPolicy,
        answers={200: DONE},
        refusals=(errors.SessionNotFound,),
    )
    def set_policy(self, session_id: str) -> Response:
        """Where no pattern says it; counts from the next tool call on, also in a run that is at work."""
        return self._set_policy(session_id, policy_named(read(SetPolicy).safety_policy))

    @patch(
        "/<session:session_id>/mode",
        "Says which tool calls run without a question, by its older name",
        body=SetMode,
        answers={200: DONE},
        refusals=(errors.SessionNotFound,),
    )
    def set_mode(self, session_id: str) -> Response:
        return self._set_policy(session_id, policy_named(read(SetMode).mode))

    def _set_policy(self, session_id: str, policy: SafetyPolicy) -> Response:
        require_visible(self._store, session_id, "update session safety policy")
        self._store.sessions.set_policy(session_id, policy)
        return json_response({"message": "session safety policy updated"})

    @patch(
        "/<session:session_id>/budget",
        "Says what a session may cost, for operators",
        body=SetBudget,
        answers={200: ResponseSpec("What it may cost, and what it has cost.", SessionBudgetJson)},
        refusals=(errors.SessionNotFound,),
    )
    def set_budget(self, session_id: str) -> Response:
        """The most that the session may cost, whatever the settings say; for operators."""
        budget = read(SetBudget).budget
        require_visible(self._store, session_id, "update session budget")
        require_operator()
        self._store.sessions.set_budget(session_id, budget)
        return json_response(
            {"id": session_id, "budget": budget, "cost": self._store.quotas.spent(session_id)}
        )

    @post(
        "/<session:session_id>/tools/toggle",
        "Switches a session's blanket approval of tools",
        unread_body=True,
        answers={200: NULL},
        refusals=(errors.SessionNotFound,),
    )
    def toggle_tools(self, session_id: str) -> Response:
        skip_body()
        require_visible(self._store, session_id, "toggle session tool approval mode")
        self._store.sessions.toggle_tools_approved(session_id)
        return json_response(None)

    @post(
        "/<session:session_id>/thinking/toggle",
        "Switches the model's thinking",
        unread_body=True,
        answers={200: NULL},
        refusals=(errors.SessionNotFound,),
    )
    def toggle_thinking(self, session_id: str) -> Response:
        skip_body()
        require_visible(self._store, session_id, "toggle session thinking mode")
        self._store.sessions.toggle_thinking(session_id)
        return json_response(None)
