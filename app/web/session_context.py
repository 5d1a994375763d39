"""The route that shows of what a session's next request is made."""

from __future__ import annotations

from flask import Response
from typing_extensions import TypedDict

from app import errors
from app.runtime.contexts import Contexts, Part
from app.runtime.session_agents import SessionAgents
from app.web.access import owner
from app.web.resource import Resource, ResponseSpec, get
from app.web.response_json import json_response


class ContextPartJson(TypedDict):
    """`tokens` are estimated."""

    tokens: int
    items: int


class ContextJson(TypedDict):
    """`context_limit` is the model's window in tokens, 0 if it is not known."""

    system_prompt: ContextPartJson
    tool_definitions: ContextPartJson
    prompt_files: ContextPartJson
    messages: ContextPartJson
    tool_results: ContextPartJson
    compaction_summary: ContextPartJson
    context_limit: int
    model: str


class SessionContextResource(Resource):
    """What fills a model's window."""

    name = "context"
    prefix = "/api/sessions/<session:session_id>"

    def __init__(self, agents: SessionAgents, contexts: Contexts) -> None:
        self._agents = agents
        self._contexts = contexts

    @get(
        "/context",
        "Shows of what a session's next request is made",
        answers={200: ResponseSpec("In estimated tokens.", ContextJson)},
        refusals=(
            errors.SessionNotFound,
            errors.RunNotFound,
            errors.AgentNotFound,
            errors.InvalidAgentConfig,
        ),
    )
    def context(self, session_id: str) -> Response:
        """No model is asked."""
        made_of = self._contexts.of(self._agents.find(session_id, owner=owner()))
        body: ContextJson = {
            "system_prompt": _shown(made_of.system_prompt),
            "tool_definitions": _shown(made_of.tool_definitions),
            "prompt_files": _shown(made_of.prompt_files),
            "messages": _shown(made_of.messages),
            "tool_results": _shown(made_of.tool_results),
            "compaction_summary": _shown(made_of.summary),
            "context_limit": made_of.window,
            "model": made_of.model,
        }
        return json_response(body)


def _shown(part: Part) -> ContextPartJson:
    return {"tokens": part.tokens, "items": part.items}
