"""What clients are told of the agent that has a session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NotRequired, cast

from typing_extensions import TypedDict

from app import errors
from app.runtime.session_agents import SessionAgent
from app.runtime.thinking_levels import levels
from app.web.response_json import without_empty

REFUSALS: Final = (
    *(errors.SessionNotFound, errors.RunNotFound),
    *(errors.AgentNotFound, errors.InvalidAgentConfig),
)


class CapabilitiesJson(TypedDict):
    """Which routes of the session do something. A key is left out if they don't."""

    delegation_policy: bool
    stop_subtree: bool
    tool_inspection: bool
    toolset_restart: bool
    permissions_inspection: bool
    mcp_prompts: bool
    todos: bool
    todo_editing: bool
    branching: bool
    compaction: bool
    context_inspection: bool
    live_sessions: bool
    model_switching: bool
    pause: bool
    thinking_levels: NotRequired[bool]


ROUTES: Final = {
    "delegation_policy": ("PATCH", "/delegation-policy"),
    "stop_subtree": ("POST", "/stop-subtree"),
    "tool_inspection": ("GET", "/tools"),
    "toolset_restart": ("POST", "/toolsets/restart"),
    "permissions_inspection": ("GET", "/permissions"),
    "mcp_prompts": ("GET", "/mcp/prompts"),
    "todos": ("GET", "/todos"),
    "todo_editing": ("PATCH", "/todos/<todo_id>"),
    "branching": ("POST", "/branches"),
    "compaction": ("POST", "/compact"),
    "context_inspection": ("GET", "/context"),
    "live_sessions": ("GET", "/live-sessions"),
    "model_switching": ("PATCH", "/model"),
    "pause": ("POST", "/pause"),
    "thinking_levels": ("PATCH", "/thinking-level"),
}
"""What each capability is about. The names are docker-agent's; it has none for the other routes."""


class SessionMetadataJson(TypedDict):
    """`model`: the one that the agent asks. `thinking_level` is left out if it thinks at none of these levels."""

    session_id: str
    agent_name: str
    model: NotRequired[str]
    thinking_levels: NotRequired[Sequence[str]]
    thinking_level: NotRequired[str]
    capabilities: CapabilitiesJson


def metadata(found: SessionAgent) -> SessionMetadataJson:
    """What clients are told of the agent after each choice."""
    agent = found.agent
    try:
        known: Sequence[str] = levels(agent)
    except errors.InvalidRequest:
        known = ()
    can = cast(CapabilitiesJson, dict.fromkeys(ROUTES, True) | {"thinking_levels": bool(known)})
    body: SessionMetadataJson = {
        "session_id": found.session.id,
        "agent_name": agent.name,
        "model": agent.models[0].id,
        "thinking_levels": known,
        "thinking_level": found.level if known else "",
        "capabilities": without_empty(CapabilitiesJson, can),
    }
    return without_empty(SessionMetadataJson, body)
