"""The events that tell of what the loop works with: the team, its agents and their budgets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.agent import model_catalogue
from app.agent.run_budgets import RunBudgets
from app.conversation import events
from app.conversation.events import Event
from app.team.agent import Agent
from app.team.model_definition import ModelSpec
from app.team.team import Team


def agent_info(agent: Agent, model: ModelSpec | None = None) -> Event:
    """The agent that speaks, and its model: the agent's own one, unless another is given."""
    spec = model or agent.models[0]
    return events.AgentInfo(
        agent_name=agent.name,
        model=spec.id,
        description=agent.description,
        welcome_message=agent.welcome_message,
        context_limit=model_catalogue.facts(spec.model).window,
    )


def team_info(team: Team, agent: Agent) -> Event:
    """The agent itself is shown as it is given, which may be with another model than its file says."""
    return events.TeamInfo(
        agent_name=agent.name,
        available_agents=[_member(agent if one.name == agent.name else one) for one in team.agents],
        current_agent=agent.name,
    )


def check_budgets(budgets: RunBudgets, agent: Agent, session_id: str) -> Iterator[Event]:
    """Before a turn of an agent: tells of budgets that are nearly used up. BudgetReached if one is."""
    if (breach := budgets.breach(agent)) is not None:
        yield events.BudgetExceeded(agent_name=agent.name, session_id=session_id, **breach._asdict())
    for words in budgets.check(agent):
        yield events.Warning(agent_name=agent.name, message=words)


def _member(agent: Agent) -> dict[str, Any]:
    """One entry of `team_info`; the model comes without its provider here."""
    member: dict[str, Any] = {
        "name": agent.name,
        "description": agent.description,
        "provider": agent.models[0].provider,
        "model": agent.models[0].model,
    }
    if thinking := _thinking(agent.models[0]):
        member["thinking"] = thinking
    if agent.commands:
        member["commands"] = commands_of(agent)
    return member


def commands_of(agent: Agent) -> dict[str, Any]:
    return {name: command.model_dump(exclude_defaults=True) for name, command in agent.commands.items()}


def _thinking(model: ModelSpec) -> str:
    """How the model is told to think: an effort, `adaptive`, a number of tokens, `off`; empty if nothing is said."""
    if model.thinking_is_off:
        return "off"
    return "" if model.thinking_budget is None else str(model.thinking_budget)
