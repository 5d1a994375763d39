"""What a request may say of a session of the Managed Agents API."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Discriminator, Field

from app.errors import InvalidRequest
from app.managed.agent_bodies import (
    GivenModel,
    Servers,
    Skills,
    System,
    Tools,
)
from app.managed.agent_definition import check, model_json, skill_json, tool_json
from app.managed.bodies import SOUND, Body, Metadata, MetadataPatch
from app.managed.budgets import BudgetLimit
from app.managed.event_bodies import InitialEvent, outcomes_in
from app.managed.files.resource_bodies import GivenResources

Json = dict[str, Any]

MAX_VAULTS: Final = 50
Title = Annotated[str, Field(max_length=500), SOUND]
Id = Annotated[str, Field(min_length=1, max_length=64), SOUND]


class AgentReference(Body):
    type: Literal["agent"]
    id: Id
    version: Annotated[int, Field(ge=1)] | None = None


class AgentWithOverrides(Body):
    type: Literal["agent_with_overrides"]
    id: Id
    version: Annotated[int, Field(ge=1)] | None = None
    model: GivenModel | None = None
    system: System | None = None
    tools: Tools | None = None
    mcp_servers: Servers | None = None
    skills: Skills | None = None


GivenAgent = Annotated[
    Annotated[AgentReference | AgentWithOverrides, Discriminator("type")],
    BeforeValidator(lambda given: {"type": "agent", "id": given} if isinstance(given, str) else given),
]


class CreateSession(Body):
    agent: GivenAgent
    environment_id: Id
    title: Title | None = None
    metadata: Metadata = Field(default_factory=dict)
    initial_events: Annotated[list[InitialEvent], Field(max_length=50)] = Field(default_factory=list)
    resources: GivenResources = Field(default_factory=list)
    vault_ids: Annotated[list[Id], Field(max_length=MAX_VAULTS)] = Field(default_factory=list)
    budget: BudgetLimit | None = None


class AgentUpdate(Body):
    tools: Tools | None = None
    mcp_servers: Servers | None = None


class UpdateSession(Body):
    title: Title | None = None
    metadata: MetadataPatch = Field(default_factory=dict)
    agent: AgentUpdate | None = None
    budget: BudgetLimit | None = None
    vault_ids: list[Id] | None = None


def refuse_second_outcome(body: CreateSession) -> None:
    if outcomes_in(body.initial_events) > 1:
        raise InvalidRequest("initial_events: at most one user.define_outcome is allowed")


def overridden(agent: Json, given: AgentReference | AgentWithOverrides) -> Json:
    """The stored definition with what the session says otherwise: what is omitted stays, null clears."""
    if isinstance(given, AgentReference):
        return agent
    made = dict(agent)
    if given.given("model"):
        if given.model is None:
            raise InvalidRequest("agent.model: can't be cleared")
        made["model"] = model_json(given.model)
    if given.given("system"):
        made["system"] = given.system
    if given.given("tools"):
        made["tools"] = [tool_json(tool) for tool in given.tools or ()]
    if given.given("mcp_servers"):
        made["mcp_servers"] = [server.model_dump() for server in given.mcp_servers or ()]
    if given.given("skills"):
        made["skills"] = [skill_json(skill) for skill in given.skills or ()]
    check(made)
    return made


def with_tools(agent: Json, given: AgentUpdate) -> Json:
    made = dict(agent)
    if given.given("tools"):
        made["tools"] = [tool_json(tool) for tool in given.tools or ()]
    if given.given("mcp_servers"):
        made["mcp_servers"] = [server.model_dump() for server in given.mcp_servers or ()]
    check(made)
    return made


def refuse_unserved(agent: Json) -> None:
    """InvalidRequest for what a session can't do here yet; agents that have it can be stored all the same."""
    if agent["model"]["speed"] == "fast":
        raise InvalidRequest("agent.model.speed: this server asks for the standard speed only")
    if agent["model"]["inference_geo"]:
        raise InvalidRequest("agent.model.inference_geo: this server can't choose where a model runs")
