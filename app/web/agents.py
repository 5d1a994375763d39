"""Routes of agents: which there are, and how each is defined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NotRequired

from flask import Response
from typing_extensions import TypedDict

from app import errors
from app.team.team_directory import TeamDirectory
from app.web.error_prefix import error_prefix
from app.web.resource import Resource, ResponseSpec, get
from app.web.response_json import Json, json_response, without_empty


class AgentSummaryJson(TypedDict):
    """`name` is the file's key; `multi`: more than one agent is in it. `commands`: the names of the first agent's."""

    name: str
    description: str
    multi: bool
    commands: NotRequired[Sequence[str]]


class AgentFileJson(TypedDict):
    """An agent file, read and normalised; literal secrets are masked."""

    version: str
    agents: list[Json]
    providers: NotRequired[dict[str, Json]]
    models: NotRequired[dict[str, Json]]
    mcps: NotRequired[dict[str, Json]]
    rag: NotRequired[dict[str, Json]]
    metadata: Json
    permissions: NotRequired[Json]


class ToolCountJson(TypedDict):
    available_tools: int


class AgentResource(Resource):
    """The agent files that load."""

    name = "agents"
    prefix = "/api/agents"

    def __init__(self, directory: TeamDirectory, count_tools: Callable[[str, str | None], int]) -> None:
        self._directory = directory
        self._count_tools = count_tools

    @get(
        "",
        "Lists the agent files that load",
        answers={200: ResponseSpec("Sorted by name.", list[AgentSummaryJson])},
        stores=False,
    )
    def summaries(self) -> Response:
        return json_response(
            [
                without_empty(
                    AgentSummaryJson,
                    {
                        "name": agent.name,
                        "description": agent.description,
                        "multi": agent.multi,
                        "commands": agent.commands,
                    },
                )
                for agent in self._directory.list()
            ]
        )

    @get(
        "/<key>",
        "Shows one agent file, read and normalised",
        answers={200: ResponseSpec("The file.", AgentFileJson)},
        refusals=(errors.AgentNotFound,),
        stores=False,
    )
    def definition(self, key: str) -> Response:
        try:
            return json_response(self._directory.get(key).wire())
        except (errors.AgentNotFound, errors.InvalidAgentConfig) as error:
            raise errors.AgentNotFound("Not Found", detail=error.message) from error

    @get(
        "/<key>/<path:name>/tools/count",
        "Counts an agent's tools",
        answers={200: ResponseSpec("How many there are.", ToolCountJson)},
        refusals=(errors.AgentNotFound, errors.InvalidAgentConfig, errors.MissingEnvironment),
    )
    def count_tools(self, key: str, name: str) -> Response:
        with error_prefix("get agent tool count"):
            return json_response({"available_tools": self._count_tools(key, name)})
