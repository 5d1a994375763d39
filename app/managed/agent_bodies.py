"""The fields of an agent that requests of the Managed Agents API may name, and their bounds."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field

from app.managed.bodies import SOUND, Body, Metadata, MetadataPatch, Name, Text
from app.managed.roster_bodies import GivenRoster
from app.team.domains import domains

Json = dict[str, Any]

TOOLSET: Final = "agent_toolset_20260401"
MAX_TOOLS: Final = 256
MAX_SKILLS: Final = 500
ToolName = Literal["bash", "read", "write", "edit", "glob", "grep", "web_fetch", "web_search"]


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


def web_address(text: str) -> str:
    """ValueError for what is no address, and for one with a secret in it: vaults are for those."""
    parts = urlsplit(text)
    if any(letter <= " " for letter in text):
        raise ValueError("it must not hold spaces")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it must be an http or https address")
    if parts.username is not None or parts.password is not None:
        raise ValueError("it must not hold a name or a password")
    parts.port  # noqa: B018 - raises ValueError for what is no port
    return text


class McpServer(Body):
    type: Literal["url"]
    name: Annotated[str, Field(min_length=1, max_length=255), SOUND]
    url: Annotated[str, Field(max_length=2048), SOUND, AfterValidator(web_address)]


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
    multiagent: GivenRoster | None = None
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
    multiagent: GivenRoster | None = None
    metadata: MetadataPatch = Field(default_factory=dict)
    execution_identity: Identity | None = None
