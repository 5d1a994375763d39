"""Teams of the server's agent files, and those of agents that are frozen into sessions of the Managed Agents API."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from app.agent.tools.agent_toolset import NAMES, declared
from app.conversation.managed_events import is_self_hosted
from app.errors import AgentNotFound
from app.managed.elsewhere import names_of, require_same_tools
from app.managed.environments import UNRESTRICTED
from app.managed.files.resource_json import file_notes
from app.managed.memory.attached_stores import memory_notes
from app.managed.policies import SEARCH, Policies, asks, prefix_of
from app.managed.rosters import with_members
from app.managed.skills.session_skills import skill_notes
from app.managed_ids import id_of, number_in
from app.store.managed_sessions import ManagedSessions
from app.team.agent import Agent
from app.team.client_tool import ClientTool
from app.team.elsewhere import worker_tools
from app.team.loading import load_team
from app.team.remote_server import RemoteServer, ToolRule
from app.team.team import Team, Teams
from app.team.upgrade import NEWEST

Json = dict[str, Any]

AGENT: Final = "root"
_KEPT: Final = 200


class EveryTeam:
    """Any thread may call it. A session's id is the key of its team: the agent was frozen into it, unless it is that
    of an agent file, which is read as it is now."""

    def __init__(
        self,
        files: Teams,
        sessions: ManagedSessions,
        *,
        private_servers: bool = False,
        searches: bool = True,
    ) -> None:
        """`private_servers`: MCP servers may be at addresses that are not public. `searches`: agents are offered
        `web_search`."""
        self._private_servers = private_servers
        self._files = files
        self._searches = searches
        self._sessions = sessions
        self._made: dict[str, tuple[float, Team]] = {}  # by key, with the time of the settings

    def get(self, key: str) -> Team:
        number = number_in("sesn", key)
        if number is None:
            return with_workers(self._files.get(key))
        found = self._sessions.settings(str(number))
        if found is None:
            raise AgentNotFound(f"agent not found: {key}")
        settings, changed_at = found
        if (file := settings.get("agent_file")) is not None:
            team = self._files.get(file)
            if is_self_hosted(settings):
                require_same_tools(team, settings["agent"]["tools"])
            return dataclasses.replace(with_workers(team), key=key)
        known = self._made.get(key)
        if known is not None and known[0] == changed_at:
            return known[1]

        def make(agent: Mapping[str, Any]) -> Team:
            return team_of(
                key,
                agent,
                networking=settings.get("networking", UNRESTRICTED),
                vaults=settings.get("vault_ids", ()),
                private_servers=self._private_servers,
                notes=[file_notes(settings), skill_notes(settings, agent), memory_notes(settings)],
                self_hosted=is_self_hosted(settings),
                searches=self._searches,
            )

        team = with_members(make(settings["agent"]), settings["agent"], make)
        self._made[key] = changed_at, team
        while len(self._made) > _KEPT:  # the oldest; another thread may be faster
            self._made.pop(next(iter(self._made)), None)
        return team


def with_workers(team: Team) -> Team:
    """The team, in which calls of tools that workers run are questions to workers."""
    if not any(agent.environment for agent in team.agents):
        return team
    return dataclasses.replace(team, agents=tuple(map(_of_workers, team.agents)))


def key_of(session_id: str) -> str:
    """The key of a session's team."""
    return id_of("sesn", uuid.UUID(session_id))


def team_of(
    key: str,
    agent: Mapping[str, Any],
    *,
    networking: str = UNRESTRICTED,
    vaults: Sequence[str] = (),
    private_servers: bool = False,
    notes: Sequence[str] = (),
    self_hosted: bool = False,
    searches: bool = True,
) -> Team:
    """Of an agent as it is stored. Its words are its own: nothing in them stands for a variable. `networking` is the
    kind that the session's environment has; `notes` tell the model what the session has, and stand behind its words;
    `self_hosted`: workers run the tools for files and commands; without `searches` it is not offered `web_search`."""
    policies = Policies(agent["tools"], self_hosted=self_hosted)
    model: Json = {"provider": "anthropic", "model": agent["model"]["id"]}
    if effort := agent["model"]["effort"]:
        model["thinking_budget"] = effort["type"]
    asked = policies.asked()
    offered = [name for name in policies.enabled() if name != SEARCH or (searches and name not in asked)]
    workers = policies.of_workers()
    own_tools = [name for name in offered if name not in workers]
    toolset = {"type": "agent_toolset", "tools": own_tools, "network": networking == UNRESTRICTED}
    toolsets = [{**toolset, **policies.web_settings()}] if own_tools else []
    allowed = [*(name for name in offered if name not in asked), *sorted(policies.custom)]
    file = {
        "version": NEWEST,
        "models": {"own": model},
        "permissions": {"allow": allowed, "ask": asked},
        "agents": {AGENT: {"model": "own", "description": agent["description"] or "", "toolsets": toolsets}},
    }
    team = load_team(orjson.dumps(file), source=f"{key}.yaml", environment={})
    custom = [
        ClientTool(tool["name"], tool["description"], tool["input_schema"])
        for tool in agent["tools"]
        if tool["type"] == "custom"
    ]
    own = team.agents[0].with_(
        instruction="\n\n".join(filter(None, [agent["system"], *notes])),
        client_tools=(*declared([*workers]), *custom),
        servers=servers_of(agent, vaults, public_only=not private_servers),
    )
    return dataclasses.replace(team, agents=(own,), digest=f"{team.digest}:{hash_of(agent)}")


def servers_of(
    agent: Mapping[str, Any], vaults: Sequence[str], *, public_only: bool
) -> tuple[RemoteServer, ...]:
    """The MCP servers of an agent, in the order of its toolsets."""
    urls = {server["name"]: server["url"] for server in agent.get("mcp_servers", ())}
    return tuple(
        RemoteServer(
            tool["mcp_server_name"],
            urls[tool["mcp_server_name"]],
            prefix_of(tool["mcp_server_name"]),
            _rule(tool["default_config"]),
            tuple((config["name"], _rule(config)) for config in tool["configs"]),
            tuple(vaults),
            public_only,
        )
        for tool in agent["tools"]
        if tool["type"] == "mcp_toolset"
    )


def _rule(config: Mapping[str, Any]) -> ToolRule:
    return ToolRule(config["enabled"], asks(config))


def hash_of(agent: Mapping[str, Any]) -> str:
    """Changes with whatever the agent's prompt is made of."""
    return uuid.uuid5(uuid.NAMESPACE_URL, orjson.dumps(agent, option=orjson.OPT_SORT_KEYS).decode()).hex


def _of_workers(agent: Agent) -> Agent:
    if not (names := names_of(agent)):
        return agent
    left = []
    for toolset in agent.toolsets:
        if theirs := worker_tools(toolset):
            own = [name for name in toolset.tools or NAMES if name not in theirs]
            left += [toolset.with_(tools=tuple(own))] if own else []
        else:
            left.append(toolset)
    return agent.with_(toolsets=tuple(left), client_tools=declared(names))
