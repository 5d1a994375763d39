"""An agent as it is stored, and as the Managed Agents API answers it: with every default written out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, get_args

from app.agent.messaging import TOOLS as MESSAGING
from app.errors import InvalidRequest
from app.managed.agent_bodies import (
    TOOLSET,
    CreateAgent,
    CustomTool,
    Identity,
    McpToolConfig,
    McpToolset,
    Model,
    Skill,
    ToolConfig,
    ToolDefaults,
    ToolName,
    Toolset,
    UpdateAgent,
)
from app.managed.bodies import Body

Json = dict[str, Any]

_SETTINGS: Final[Mapping[str, Sequence[str]]] = {
    "web_fetch": ("url_sources", "allowed_domains", "blocked_domains", "max_content_tokens"),
    "web_search": ("allowed_domains", "blocked_domains", "user_location"),
}
_SERVICE_ACCOUNT: Final = {"type": "service_account"}


def definition(body: CreateAgent, roster: Json | None) -> Json:
    """`roster` is the one that the body names, as it is stored. InvalidRequest for what does not fit together, and for
    what can't be done here."""
    _refuse_identity(body.execution_identity)
    made = {
        "name": body.name,
        "description": body.description,
        "model": model_json(body.model),
        "system": body.system,
        "tools": [tool_json(tool) for tool in body.tools],
        "mcp_servers": [server.model_dump() for server in body.mcp_servers],
        "skills": [skill_json(skill) for skill in body.skills],
        "multiagent": roster,
        "metadata": body.metadata,
        "execution_identity": _SERVICE_ACCOUNT,
    }
    check(made)
    return made


def changed(before: Json, body: UpdateAgent, roster: Json | None, patch: Callable[[Json], Json]) -> Json:
    """The definition after an update: what is omitted stays, null clears, a list replaces the whole."""
    after = dict(before)
    for name in ("name", "model"):
        if body.given(name) and getattr(body, name) is None:
            raise InvalidRequest(f"{name}: can't be cleared")
    _refuse_identity(body.execution_identity)
    if body.name is not None:
        after["name"] = body.name
    if body.model is not None:
        after["model"] = model_json(body.model)
        if before["model"]["id"] == body.model.id and not body.model.given("effort"):
            after["model"]["effort"] = before["model"]["effort"]
    for name in ("description", "system"):
        if body.given(name):
            after[name] = getattr(body, name)
    if body.given("tools"):
        after["tools"] = [tool_json(tool) for tool in body.tools or ()]
    if body.given("mcp_servers"):
        after["mcp_servers"] = [server.model_dump() for server in body.mcp_servers or ()]
    if body.given("skills"):
        after["skills"] = [skill_json(skill) for skill in body.skills or ()]
    if body.given("multiagent"):
        after["multiagent"] = roster
    after["metadata"] = patch(before["metadata"])
    check(after)
    return after


def model_json(model: Model) -> Json:
    effort = {"type": model.effort.type} if model.effort else None
    return {
        "id": model.id,
        "effort": effort,
        "inference_geo": model.inference_geo,
        "speed": model.speed or "standard",
    }


def tool_json(tool: Toolset | McpToolset | CustomTool) -> Json:
    match tool:
        case CustomTool():
            return tool.model_dump()
        case Toolset():
            defaults = (tool.default_config or ToolDefaults()).filled(policy="always_allow")
            configs = [_config_json(config, defaults) for config in tool.configs]
            return {"type": tool.type, "default_config": defaults, "configs": configs}
        case McpToolset():
            defaults = (tool.default_config or ToolDefaults()).filled(policy="always_ask")
            configs = [{"name": config.name, **_filled(config, defaults)} for config in tool.configs]
            named = {"type": tool.type, "mcp_server_name": tool.mcp_server_name}
            return {**named, "default_config": defaults, "configs": configs}


def _filled(config: ToolConfig | McpToolConfig, defaults: Json) -> Json:
    policy = config.permission_policy
    return {
        "enabled": defaults["enabled"] if config.enabled is None else config.enabled,
        "permission_policy": {"type": policy.type} if policy else defaults["permission_policy"],
    }


def _config_json(config: ToolConfig, defaults: Json) -> Json:
    made = {"name": config.name, "type": config.name, **_filled(config, defaults)}
    for name in ToolConfig.model_fields.keys() - {"name", "type", "enabled", "permission_policy"}:
        value = getattr(config, name)
        if value is None:
            continue
        if name not in _SETTINGS.get(config.name, ()):
            raise InvalidRequest(f"{name}: {config.name} has no such setting")
        made[name] = value.model_dump(exclude_none=True) if isinstance(value, Body) else value
    return made


def skill_json(skill: Skill) -> Json:
    return {"type": skill.type, "skill_id": skill.skill_id, "version": skill.version or "latest"}


def check(agent: Json) -> None:
    """InvalidRequest for a definition whose parts do not fit together."""
    tools: Sequence[Json] = agent["tools"]
    servers = [server["name"] for server in agent["mcp_servers"]]
    toolsets = [index for index, tool in enumerate(tools) if tool["type"] == TOOLSET]
    if len(toolsets) > 1:
        raise InvalidRequest(
            f"tools.{toolsets[1]}.{TOOLSET}: duplicate entry; at most one {TOOLSET} is allowed"
        )
    for index, tool in enumerate(tools):
        if tool["type"] == "custom":
            continue
        names = [config["name"] for config in tool["configs"]]
        if (place := repeated(names)) is not None:
            written = f"AGENT_TOOL_NAME_{names[place].upper()}" if tool["type"] == TOOLSET else names[place]
            raise InvalidRequest(
                f'tools.{index}.{tool["type"]}.configs.{place}: duplicate entry for tool "{written}"'
            )
        for config in tool["configs"]:
            if "allowed_domains" in config and "blocked_domains" in config:
                raise InvalidRequest("Only one of allowed_domains or blocked_domains may be set.")
    custom = [tool["name"] for tool in tools if tool["type"] == "custom"]
    if (place := repeated(custom)) is not None:
        raise InvalidRequest(f'tools: duplicate custom tool "{custom[place]}"')
    if toolsets and (taken := [name for name in custom if name in get_args(ToolName)]):
        raise InvalidRequest(f'tools: the custom tool "{taken[0]}" has the name of one of the {TOOLSET}')
    if agent["multiagent"] and (taken := sorted(MESSAGING.intersection(custom))):
        raise InvalidRequest(
            f'tools: the custom tool "{taken[0]}" has the name of a tool that a roster brings'
        )
    if (place := repeated(servers)) is not None:
        raise InvalidRequest(f'mcp_servers.{place}: duplicate entry for server "{servers[place]}"')
    _check_servers(servers, [tool["mcp_server_name"] for tool in tools if tool["type"] == "mcp_toolset"])


def _check_servers(servers: Sequence[str], used: Sequence[str]) -> None:
    for name in used:
        if name not in servers:
            raise InvalidRequest(f'references server "{name}" which is not defined in mcp_servers')
    if (place := repeated(used)) is not None:
        raise InvalidRequest(
            f'duplicate entry for server "{used[place]}"; each MCP server may have at most one mcp_toolset'
        )
    if unused := [name for name in servers if name not in used]:
        raise InvalidRequest(
            f"mcp_servers [{', '.join(unused)}] declared but no mcp_toolset in tools references them"
        )


def repeated(names: Iterable[str]) -> int | None:
    """The place of the first name that was there before."""
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            return index
        seen.add(name)
    return None


def _refuse_identity(identity: Identity | None) -> None:
    if identity is not None and (identity.type != "service_account" or identity.role_arn is not None):
        raise InvalidRequest(
            "execution_identity.type: this server has no roles of a cloud; only service_account is supported"
        )
