"""Sentences for the readers of a run about what its agent's file says and this server can't keep."""

from __future__ import annotations

from typing import Final

from app.agent.model_price import has_price
from app.team.agent import Agent
from app.team.team import Team

_NOT_DONE: Final = ("rag",)


def uncounted(team: Team, agent: Agent) -> list[str]:
    """The models whose cost escapes the budgets that the agent file sets for a run."""
    budgets = [team.file.budget, *(team.file.budgets[name] for name in agent.budgets)]
    unknown = [spec.id for spec in (*agent.models, *agent.fallback_models) if not has_price(spec)]
    if not unknown or not any(budget is not None and budget.max_cost for budget in budgets):
        return []
    words = f"The price of {unknown[0]} is not known: what it costs does not count towards max_cost."
    return [f"{words} Say the price in the model's cost."]


def without_effect(agent: Agent) -> list[str]:
    """Notices of fields in the agent's file that have no effect here: they are said, not silently left out."""
    ignored = [name for name in _NOT_DONE if getattr(agent, name)]
    if not ignored:
        return []
    return [
        f"Agent '{agent.name}' is configured with {', '.join(ignored)}, which this server does not support yet."
    ]
