"""Routes of the prompts that an agent's tool servers offer to people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Self

from flask import Response, request
from pydantic import AfterValidator, ConfigDict, Field, model_validator
from typing_extensions import TypedDict

from app import errors
from app.agent.tools.mcp.prompts import Prompt
from app.runtime.agent_prompts import AgentPrompts
from app.runtime.session_agents import SessionAgents
from app.web.access import owner
from app.web.request_body import read
from app.web.request_models import MAX_TEXT, NO_NUL, RequestModel, no_nul
from app.web.resource import Resource, ResponseSpec, get, post
from app.web.response_json import json_response

MAX_ARGUMENTS: Final = 100

_Word = Annotated[str, AfterValidator(no_nul), Field(min_length=1, max_length=4096, json_schema_extra=NO_NUL)]
_Value = Annotated[str, AfterValidator(no_nul), Field(max_length=MAX_TEXT, json_schema_extra=NO_NUL)]
_Arguments = Annotated[dict[_Word, _Value], Field(max_length=MAX_ARGUMENTS)]

_REFUSALS: Final = (
    *(errors.SessionNotFound, errors.RunNotFound, errors.AgentNotFound, errors.InvalidAgentConfig),
    *(errors.ToolServerFailed, errors.ServerFull),
)


class PromptArgumentJson(TypedDict):
    name: str
    description: str
    required: bool


class PromptJson(TypedDict):
    name: str
    description: str
    arguments: list[PromptArgumentJson]


class PromptTextJson(TypedDict):
    """The same text twice: clients look for one of the two names."""

    text: str
    result: str


class ExecutePrompt(RequestModel):
    """`name`: the prompt's key in the list."""

    name: _Word
    args: _Arguments = Field(default_factory=dict)


class PromptArguments(RequestModel):
    """The prompt's arguments themselves. null, which clients send that have none, is as good as an empty object."""

    model_config = ConfigDict(
        extra="allow", json_schema_extra={"type": ["object", "null"], "maxProperties": MAX_ARGUMENTS}
    )
    __pydantic_extra__: dict[str, _Value] = Field(init=False)

    @model_validator(mode="after")
    def _not_too_many(self) -> Self:
        if len(self.model_extra or ()) > MAX_ARGUMENTS:
            raise ValueError(f"at most {MAX_ARGUMENTS} arguments")
        return self


class SessionPromptsResource(Resource):
    """The prompts of the tool servers of the agent that has a session."""

    name = "prompts"
    prefix = "/api/sessions/<session:session_id>/mcp/prompts"

    def __init__(self, agents: SessionAgents, prompts: AgentPrompts) -> None:
        self._agents = agents
        self._prompts = prompts

    @get(
        "",
        "Lists the prompts that an agent's tool servers offer",
        answers={200: ResponseSpec("By name.", dict[str, PromptJson])},
        refusals=_REFUSALS,
    )
    def prompts(self, session_id: str) -> Response:
        """Starts tool servers, and waits for them for a bounded time."""
        found = self._agents.find(session_id, owner=owner())
        offered = self._prompts.all(found, dict(request.headers))
        return json_response({key: _shown(prompt) for key, prompt in offered.items()})

    @post(
        "/execute",
        "Expands a prompt",
        body=ExecutePrompt,
        answers={200: ResponseSpec("Its text; nothing is said to the agent.", PromptTextJson)},
        refusals=(*_REFUSALS, errors.PartNotFound),
    )
    def execute(self, session_id: str) -> Response:
        body = read(ExecutePrompt)
        return self._expanded(session_id, body.name, body.args)

    @post(
        "/<path:name>/execute",
        "Expands a prompt, by its name in the path",
        body=PromptArguments,
        answers={200: ResponseSpec("Its text; nothing is said to the agent.", PromptTextJson)},
        refusals=(*_REFUSALS, errors.PartNotFound),
    )
    def execute_named(self, session_id: str, name: str) -> Response:
        return self._expanded(session_id, name, read(PromptArguments, or_null=True).model_extra or {})

    def _expanded(self, session_id: str, name: str, arguments: Mapping[str, str]) -> Response:
        found = self._agents.find(session_id, owner=owner())
        text = self._prompts.expand(found, name, arguments, dict(request.headers))
        return json_response({"text": text, "result": text})


def _shown(prompt: Prompt) -> PromptJson:
    return {
        "name": prompt.name,
        "description": prompt.description,
        "arguments": [
            {"name": one.name, "description": one.description, "required": one.required}
            for one in prompt.arguments
        ],
    }
