"""How much a session's maker can have a model think: the levels to choose from, and what stands for them in a model's
definition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from app.agent import model_catalogue
from app.conversation.session import Session, chosen
from app.errors import InvalidRequest
from app.team.agent import Agent
from app.team.model_definition import ModelSpec
from app.team.team import Team

NONE: Final = "none"
_ORDER: Final = (NONE, "minimal", *model_catalogue.EFFORTS)
_TOKENS: Final[Mapping[str, int]] = {"low": 2048, "medium": 8192, "high": 16_384}
"""For models that take a number of tokens and no effort."""


def levels(agent: Agent) -> tuple[str, ...]:
    """Those of the agent's model, of an alloy's first member, from the least to the most. InvalidRequest if it can't
    think."""
    spec = agent.models[0]
    known = model_catalogue.facts(spec.model)
    if known.thinking is None:
        raise InvalidRequest(f"model {spec.id} does not support thinking levels", status=422)
    return (NONE, *(_TOKENS if known.thinking == "budget" else known.efforts))


def level_of(agent: Agent, *, thinks: bool) -> str:
    """The level at which the agent's model thinks, or does not while its session does not let it. Empty if it thinks by
    a number of tokens, or as much as it likes."""
    spec = agent.models[0]
    known, budget = model_catalogue.facts(spec.model).thinking, spec.thinking_budget
    if known is None or not thinks or spec.thinking_is_off:
        return NONE
    if known == "budget":
        return next((level for level, tokens in _TOKENS.items() if tokens == budget), "")
    level = str(budget).removeprefix("adaptive/")
    return clamped(level, levels(agent)) if level in _ORDER else ""


def clamped(level: str, known: tuple[str, ...]) -> str:
    """The level itself if it is one of these, else the next higher, else the next lower."""
    place = _ORDER.index(level)
    others = (*_ORDER[place:], *reversed(_ORDER[:place]))
    return next(other for other in others if other in known)


def following(level: str, known: tuple[str, ...]) -> str:
    """The next one; the least after the most, and `low` after none that is known."""
    place = known.index(level or NONE)
    return known[(place + 1) % len(known)]


def chosen_level(team: Team, session: Session, agent: Agent) -> str:
    """Empty if its maker has chosen none for the agent."""
    return chosen(session.choices.thinking_levels, team.names(agent))


def at_level(agent: Agent, level: str) -> Agent:
    """The agent whose models think so much, each as near to it as it can; unchanged without a level."""
    return agent.with_(models=specs_at(agent.models, level)) if level in _ORDER else agent


def specs_at(models: Sequence[ModelSpec], level: str) -> tuple[ModelSpec, ...]:
    return tuple(_spec_at(spec, level) if level in _ORDER else spec for spec in models)


def _spec_at(spec: ModelSpec, level: str) -> ModelSpec:
    known = model_catalogue.facts(spec.model)
    if known.thinking is None:
        return spec
    if known.thinking == "budget":
        near = clamped(level, (NONE, *_TOKENS))
        return spec.with_(thinking_budget=_TOKENS.get(near, NONE))
    return spec.with_(thinking_budget=clamped(level, (NONE, *known.efforts)))
