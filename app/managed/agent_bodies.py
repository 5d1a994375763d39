"""The agents of the Managed Agents API: what a request may say of one, and what of it is stored.

The definition that is stored is what the API answers: every default is written out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field

from app.errors import InvalidRequest
from app.managed.bodies import SOUND, Body, Metadata, MetadataPatch, Name, Text
from app.team.domains import domains

Json = dict[str, Any]

TOOLSET: Final = "agent_toolset_20260401"
MAX_TOOLS: Final = 256
MAX_SKILLS: Final = 500
ToolName = Literal["bash", "read", "write", "edit", "glob", "grep", "web_fetch", "web_search"]
_SETTINGS: Final[Mapping[str, Sequence[str]]] = {
    "web_fetch": ("url_sources", "allowed_domains", "blocked_domains", "max_content_tokens"),
    "web_search": ("allowed_domains", "blocked_domains", "user_location"),
}
_SERVICE_ACCOUNT: Final = {"type": "service_account"}


class Policy(Body):
    type: Literal["always_allow", "always_ask", "auto"]


class ToolDefaults(Body):
    enabled: bool | None = None
    permission_policy: Policy | None = None

    def filled(self, *, policy: str) -> Json:
        chosen = self.permission_policy.type if self.permission_policy else policy
        return {"enabled": self.enabled is not False, "permission_policy": {"type": chosen}}


class UserLocation(Body):
    type: Literal["approximate"]
    city: Text | None = None
    country: Text | None = None
    region: Text | None = None
    timezone: Text | None = None


_Domains = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=255), SOUND]],
    Field(min_length=1, max_length=64),
    AfterValidator(lambda given: list(domains(tuple(given)))),
]


class ToolConfig(Body):
    name: ToolName
    type: ToolName | None = None
    enabled: bool | None = None
    permission_policy: Policy | None = None
    allowed_domains: _Domains | None = None
    blocked_domains: _Domains | None = None
    max_content_tokens: Annotated[int, Field(gt=0)] | None = None
    user_location: UserLocation | None = None
    url_sources: Json | None = None


class Toolset(Body):
    type: Literal["agent_toolset_20260401"]
    default_config: ToolDefaults | None = None
    configs: Annotated[list[ToolConfig], Field(max_length=MAX_TOOLS)] = Field(default_factory=list)


class McpToolConfig(Body):
    name: Annotated[str, Field(min_length=1, max_length=128), SOUND]
    enabled: bool | None = None
    permission_policy: Policy | None = None


class McpToolset(Body):
    type: Literal["mcp_toolset"]
    mcp_server_name: Annotated[str, Field(min_length=1, max_length=255), SOUND]
    default_config: ToolDefaults | None = None
    configs: Annotated[list[McpToolConfig], Field(max_length=MAX_TOOLS)] = Field(default_factory=list)


def _an_object_without_references(schema: Json) -> Json:
    if schema.get("type") != "object":
        raise ValueError('its type must be "object"')
    if _mentions_reference(schema):
        raise ValueError("$ref is not supported")
    return schema


def _mentions_reference(value: object) -> bool:
    if isinstance(value, dict):
        return "$ref" in value or any(map(_mentions_reference, value.values()))
    return isinstance(value, list) and any(map(_mentions_reference, value))


class CustomTool(Body):
    type: Literal["custom"]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,128}$")]
    description: Annotated[str, Field(min_length=1, max_length=1024), SOUND]
    input_schema: Annotated[Json, AfterValidator(_an_object_without_references)]


def _web_address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it must be an http or https address")
    return text


class McpServer(Body):
    type: Literal["url"]
    name: Annotated[str, Field(min_length=1, max_length=255), SOUND]
    url: Annotated[str, Field(max_length=2048), SOUND, AfterValidator(_web_address)]


class Skill(Body):
    type: Literal["anthropic", "custom"]
    skill_id: Annotated[str, Field(min_length=1, max_length=64), SOUND]
    version: Text | None = None


class Effort(Body):
    type: Literal["low", "medium", "high", "xhigh", "max"]


class Model(Body):
    id: Annotated[str, Field(min_length=1, max_length=256), SOUND]
    effort: (
        Annotated[Effort, BeforeValidator(lambda given: {"type": given} if isinstance(given, str) else given)]
        | None
    ) = None
    inference_geo: Text | None = None
    speed: Literal["standard", "fast"] | None = None


GivenModel = Annotated[
    Model, BeforeValidator(lambda given: {"id": given} if isinstance(given, str) else given)
]
Tool = Annotated[Toolset | McpToolset | CustomTool, Discriminator("type")]
Tools = Annotated[list[Tool], Field(max_length=MAX_TOOLS)]
Servers = Annotated[list[McpServer], Field(max_length=20)]
Skills = Annotated[list[Skill], Field(max_length=MAX_SKILLS)]
System = Annotated[str, Field(max_length=100_000), SOUND]
Description = Annotated[str, Field(max_length=2048), SOUND]


class Identity(Body):
    type: Literal["service_account", "aws_role"]
    role_arn: Text | None = None


class CreateAgent(Body):
    name: Name
    model: GivenModel
    description: Description | None = None
    system: System | None = None
    tools: Tools = Field(default_factory=list)
    mcp_servers: Servers = Field(default_factory=list)
    skills: Skills = Field(default_factory=list)
    multiagent: Json | None = None
    metadata: Metadata = Field(default_factory=dict)
    execution_identity: Identity | None = None


class UpdateAgent(Body):
    version: Annotated[int, Field(ge=1)] | None = None
    name: Name | None = None
    model: GivenModel | None = None
    description: Description | None = None
    system: System | None = None
    tools: Tools | None = None
    mcp_servers: Servers | None = None
    skills: Skills | None = None
    multiagent: Json | None = None
    metadata: MetadataPatch = Field(default_factory=dict)
    execution_identity: Identity | None = None


def definition(body: CreateAgent) -> Json:
    """InvalidRequest for what does not fit together, and for what can't be done here."""
    _refuse_identity(body.execution_identity)
    _refuse_multiagent(body.multiagent)
    made = {
        "name": body.name,
        "description": body.description,
        "model": model_json(body.model),
        "system": body.system,
        "tools": [tool_json(tool) for tool in body.tools],
        "mcp_servers": [server.model_dump() for server in body.mcp_servers],
        "skills": [skill_json(skill) for skill in body.skills],
        "multiagent": None,
        "metadata": body.metadata,
        "execution_identity": _SERVICE_ACCOUNT,
    }
    check(made)
    return made


def changed(before: Json, body: UpdateAgent, patch: Callable[[Json], Json]) -> Json:
    """The definition after an update: what is omitted stays, null clears, a list replaces the whole."""
    after = dict(before)
    for name in ("name", "model"):
        if body.given(name) and getattr(body, name) is None:
            raise InvalidRequest(f"{name}: can't be cleared")
    _refuse_identity(body.execution_identity)
    _refuse_multiagent(body.multiagent)
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
        if (place := _repeated(names)) is not None:
            written = f"AGENT_TOOL_NAME_{names[place].upper()}" if tool["type"] == TOOLSET else names[place]
            raise InvalidRequest(
                f'tools.{index}.{tool["type"]}.configs.{place}: duplicate entry for tool "{written}"'
            )
        for config in tool["configs"]:
            if "allowed_domains" in config and "blocked_domains" in config:
                raise InvalidRequest("Only one of allowed_domains or blocked_domains may be set.")
    custom = [tool["name"] for tool in tools if tool["type"] == "custom"]
    if (place := _repeated(custom)) is not None:
        raise InvalidRequest(f'tools: duplicate custom tool "{custom[place]}"')
    if toolsets and (taken := [name for name in custom if name in get_args(ToolName)]):
        raise InvalidRequest(f'tools: the custom tool "{taken[0]}" has the name of one of the {TOOLSET}')
    if (place := _repeated(servers)) is not None:
        raise InvalidRequest(f'mcp_servers.{place}: duplicate entry for server "{servers[place]}"')
    _check_servers(servers, [tool["mcp_server_name"] for tool in tools if tool["type"] == "mcp_toolset"])
    skills = [skill["skill_id"] for skill in agent["skills"]]
    if (place := _repeated(skills)) is not None:
        raise InvalidRequest(f'duplicate skill_id "{skills[place]}"')


def _check_servers(servers: Sequence[str], used: Sequence[str]) -> None:
    for name in used:
        if name not in servers:
            raise InvalidRequest(f'references server "{name}" which is not defined in mcp_servers')
    if (place := _repeated(used)) is not None:
        raise InvalidRequest(
            f'duplicate entry for server "{used[place]}"; each MCP server may have at most one mcp_toolset'
        )
    if unused := [name for name in servers if name not in used]:
        raise InvalidRequest(
            f"mcp_servers [{', '.join(unused)}] declared but no mcp_toolset in tools references them"
        )


def _repeated(names: Iterable[str]) -> int | None:
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


def _refuse_multiagent(multiagent: Json | None) -> None:
    if multiagent is not None:
        raise InvalidRequest("multiagent: rosters are not supported here yet")
