"""Agents of agent files whose `agent_toolset` workers of a self-hosted environment run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from app.conversation.managed_events import WORKER_TOOLS
from app.errors import InvalidAgentConfig
from app.managed.agent_bodies import TOOLSET
from app.team.agent import Agent
from app.team.elsewhere import worker_tools
from app.team.team import Team

Json = dict[str, Any]

_ASKED: Final[Json] = {"type": "always_ask"}


def tools_of(agent: Agent) -> list[Json]:
    """The tools that workers run, as an agent of the Managed Agents API has them. Each is told as one that waits for a
    permission: the file's permissions are judged when a call is made."""
    if not (names := names_of(agent)):
        return []
    off = {"enabled": False, "permission_policy": _ASKED}
    configs = [{"name": name, "type": name, "enabled": True, "permission_policy": _ASKED} for name in names]
    return [{"type": TOOLSET, "default_config": off, "configs": configs}]


def require_same_tools(team: Team, tools: Sequence[Json]) -> None:
    """InvalidAgentConfig if workers run others of the agent's tools by now than when its session was made."""
    if tools_of(team.default_agent) != tools:
        raise InvalidAgentConfig(
            f"agent file {team.key} has another environment, or other tools for its workers, than when this session "
            "was made; begin another session"
        )


def names_of(agent: Agent) -> Sequence[str]:
    """The tools that workers run."""
    if not agent.environment:
        return []
    found = {name for toolset in agent.toolsets for name in worker_tools(toolset)}
    return [name for name in WORKER_TOOLS if name in found]
