"""The routes of a session's model: which there are to choose from, and the choice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Annotated, NotRequired

from flask import Response
from pydantic import AfterValidator, Field
from typing_extensions import TypedDict

from app import errors
from app.agent.model_catalogue import facts
from app.conversation.session import MAX_MODELS, Session, with_choice
from app.runtime.pricing import Pricing
from app.runtime.session_agents import SessionAgent, SessionAgents
from app.store.store import Store
from app.team.agent import Agent
from app.team.model_definition import inline
from app.team.team import Team
from app.web.access import owner
from app.web.request_body import read
from app.web.request_models import NO_NUL, RequestModel, no_nul
from app.web.resource import Resource, ResponseSpec, get, patch
from app.web.response_json import json_response, without_empty
from app.web.session_agent import REFUSALS, SessionMetadataJson, metadata


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


class SetModel(RequestModel):
    """`provider/model`, or a model of the agent's file; empty: the agent's own."""

    model: Annotated[str, AfterValidator(no_nul), Field(max_length=211, json_schema_extra=NO_NUL)]


class SessionModelsResource(Resource):
    """Shows what a session's agent could ask, and has it ask another."""

    name = "models"
    prefix = "/api/sessions/<session:session_id>"

    def __init__(self, store: Store, agents: SessionAgents, pricing: Pricing) -> None:
        self._store = store
        self._agents = agents
        self._pricing = pricing

    @get(
        "/models",
        "Lists the models to choose from for the agent that has a session",
        answers={
            200: ResponseSpec(
                "Those of its agent file, and those that were chosen before.", SessionModelsJson
            )
        },
        refusals=REFUSALS,
    )
    def models(self, session_id: str) -> Response:
        """RunNotFound before the session's first run: nobody knows its agent yet."""
        found = self._agents.find(session_id, owner=owner())
        current = found.model_ref
        body: SessionModelsJson = {
            "agent": found.own.name,
            "current_model_ref": current,
            "models": list(_choices(found.team, found.own, found.session, current)),
        }
        return json_response(without_empty(SessionModelsJson, body))

    @patch(
        "/model",
        "Chooses the model of the agent that has a session",
        body=SetModel,
        answers={200: ResponseSpec("The session's agent, as the next run has it.", SessionMetadataJson)},
        refusals=(*REFUSALS, errors.InvalidRequest, errors.UnpricedModel),
    )
    def set_model(self, session_id: str) -> Response:
        """Empty: the agent's own again. What a run has chosen for the whole session counts no more, nor does a thinking
        level that was chosen for the model before."""
        reference = read(SetModel).model
        found = self._agents.find(session_id, owner=owner())
        if reference:
            self._refuse(found, reference)

        def change(session: Session) -> Session:
            former = session.choices
            choices = replace(
                former,
                models=with_choice(former.models, found.names, reference),
                models_used=_with(former.models_used, reference),
                thinking_levels=with_choice(former.thinking_levels, found.names, ""),
            )
            return replace(session, model="", choices=choices)

        said = f"{found.own.name} {reference or 'default'}"
        changed = self._store.sessions.choose(session_id, change, "model", lambda _now: said)
        return json_response(metadata(found.after(changed)))

    def _refuse(self, found: SessionAgent, reference: str) -> None:
        """InvalidRequest for a model that can't be served, UnpricedModel for one that a budget could not count."""
        try:
            models = found.team.models(reference)
        except errors.InvalidRequest as error:
            raise errors.InvalidRequest(f"failed to set session model: {error.message}", status=422) from None
        for model in models:
            if model.cost is None:
                self._pricing.check(found.session.parent_id or found.session.id, model.model)


def _with(used: Sequence[str], reference: str) -> Sequence[str]:
    """A model that was chosen can be chosen again."""
    return used if not reference or reference in used else [*used, reference][-MAX_MODELS:]


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
