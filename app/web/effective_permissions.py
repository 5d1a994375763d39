"""The route that shows what decides about a session's tool calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NotRequired

from flask import Response
from typing_extensions import TypedDict

from app.conversation.safety import SafetyPolicy
from app.runtime.session_agents import SessionAgents
from app.team.permissions import Permissions
from app.web.access import owner
from app.web.resource import Resource, ResponseSpec, get
from app.web.response_json import IfAny, Patterns, json_response, without_empty
from app.web.session_agent import REFUSALS


class FilePatternsJson(TypedDict):
    """The patterns of an agent file, under these names."""

    Allow: Sequence[str]
    Ask: Sequence[str]
    Deny: Sequence[str]


class EffectivePermissionsJson(TypedDict):
    """`source`: those of the session's agent file; `session`: its own. Each is left out if there are none."""

    policy: SafetyPolicy
    tools_approved: bool
    source: NotRequired[IfAny[FilePatternsJson]]
    session: NotRequired[IfAny[Patterns]]


class EffectivePermissionsResource(Resource):
    """Shows permissions to those who may see the session."""

    name = "looking"
    prefix = "/api/sessions/<session:session_id>"

    def __init__(self, agents: SessionAgents) -> None:
        self._agents = agents

    @get(
        "/permissions",
        "Shows what decides about a session's tool calls",
        answers={200: ResponseSpec("As of now.", EffectivePermissionsJson)},
        refusals=REFUSALS,
    )
    def permissions(self, session_id: str) -> Response:
        found = self._agents.find(session_id, owner=owner())
        session = found.session
        body: EffectivePermissionsJson = {
            "policy": session.safety_policy,
            "tools_approved": session.tools_approved,
            "source": _of_file(found.team.permissions),
            "session": session.permissions or None,
        }
        return json_response(without_empty(EffectivePermissionsJson, body))


def _of_file(permissions: Permissions) -> FilePatternsJson | None:
    if not (permissions.allow or permissions.ask or permissions.deny):
        return None
    return {"Allow": permissions.allow, "Ask": permissions.ask, "Deny": permissions.deny}
