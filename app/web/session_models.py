"""The route that lists the models to choose from for a session."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NotRequired

from flask import Response
from typing_extensions import TypedDict

from app import errors
from app.agent.model_catalogue import facts
from app.conversation.session import Session
from app.runtime.model_overrides import override
from app.runtime.session_agents import SessionAgents
from app.team.agent import Agent
from app.team.model_definition import inline
from app.team.team import Team
from app.web.access import owner
from app.web.resource import Resource, ResponseSpec, get
from app.web.response_json import json_response, without_empty


class ModelChoiceJson(TypedDict):
    """`ref` is how a request names the model. `is_default`: the agent's own; `is_custom`: of no agent file. Prices are
    dollars for a million tokens; a price or a limit that is not known is left out."""

    name: str
    ref: str
    provider: NotRequired[str]
    model: NotRequired[str]
    is_default: NotRequired[bool]
    is_current: NotRequired[bool]
    is_custom: NotRequired[bool]
    input_cost: NotRequired[float]
    output_cost: NotRequired[float]
    cache_read_cost: NotRequired[float]
    cache_write_cost: NotRequired[float]
    context_limit: NotRequired[int]
    output_limit: NotRequired[int]


class SessionModelsJson(TypedDict):
    """`current_model_ref`: what was chosen in place of the agent's own model."""

    agent: str
    current_model_ref: NotRequired[str]
    models: list[ModelChoiceJson]


class SessionModelsResource(Resource):
    """Shows what a session's agent could ask."""

    name = "models"
    prefix = "/api/sessions/<session:session_id>"

    def __init__(self, agents: SessionAgents) -> None:
        self._agents = agents

    @get(
        "/models",
        "Lists the models to choose from for the agent that has a session",
        answers={
            200: ResponseSpec(
                "Those of its agent file, and those that were chosen before.", SessionModelsJson
            )
        },
        refusals=(
            errors.SessionNotFound,
            errors.RunNotFound,
            errors.AgentNotFound,
            errors.InvalidAgentConfig,
        ),
    )
    def models(self, session_id: str) -> Response:
        """RunNotFound before the session's first run: nobody knows its agent yet."""
        found = self._agents.find(session_id, owner=owner())
        session, team, agent = found.session, found.team, found.agent
        current = session.model or override(team, session, agent)
        body: SessionModelsJson = {
            "agent": agent.name,
            "current_model_ref": current,
            "models": list(_choices(team, agent, session, current)),
        }
        return json_response(without_empty(SessionModelsJson, body))


def _choices(team: Team, agent: Agent, session: Session, current: str) -> Iterator[ModelChoiceJson]:
    """The file's models that this server serves, the agent's own first; then what the session knows besides."""
    own = [model.name for model in agent.models]
    listed = list(dict.fromkeys([*own, *(name for name in team.file.models if _is_served(team, name))]))
    known = set(listed)
    for name in listed:
        yield _choice(
            team, name, is_default=name in own, is_current=name == current or (not current and name in own)
        )
    besides = [reference for reference in (*session.choices.models_used, current) if "/" in reference]
    for reference in dict.fromkeys(besides):
        if reference not in known:
            yield _choice(team, reference, is_current=reference == current, is_custom=True)


def _is_served(team: Team, name: str) -> bool:
    try:
        return bool(team.models(name))
    except errors.InvalidRequest:
        return False


def _choice(
    team: Team, reference: str, *, is_current: bool, is_default: bool = False, is_custom: bool = False
) -> ModelChoiceJson:
    definition = team.file.models.get(reference) or inline(reference)
    model = definition.model if definition is not None and definition.provider else ""
    known = facts(model)
    body: ModelChoiceJson = {
        "name": reference,
        "ref": reference,
        "provider": definition.provider if definition is not None else "",
        "model": model,
        "is_default": is_default,
        "is_current": is_current,
        "is_custom": is_custom,
    }
    if known.price is not None:
        price = known.price
        body |= {
            "input_cost": price.input,
            "output_cost": price.output,
            "cache_read_cost": price.cache_read,
            "cache_write_cost": price.cache_write,
        }
    if known.window:
        body |= {"context_limit": known.window, "output_limit": known.max_output}
    return without_empty(ModelChoiceJson, body)
