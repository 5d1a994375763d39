"""The events that tell of what the loop works with: the team and its agents."""

from __future__ import annotations

from typing import Any

from app.conversation import events
from app.conversation.events import Event
from app.team.agent import Agent
from app.team.model_definition import ModelSpec
from app.team.team import Team


def agent_info(agent: Agent, model: ModelSpec | None = None) -> Event:
    """The agent that speaks, and its model: the agent's own one, unless another is given."""
    return events.AgentInfo(
        agent_name=agent.name,
        model=(model or agent.models[0]).id,
        description=agent.description,
        welcome_message=agent.welcome_message,
    )


def team_info(team: Team, agent: Agent) -> Event:
    return events.TeamInfo(
        agent_name=agent.name,
        available_agents=[_member(member) for member in team.agents],
        current_agent=agent.name,
    )


def _member(agent: Agent) -> dict[str, Any]:
    """One entry of `team_info`; the model comes without its provider here."""
    member: dict[str, Any] = {
        "name": agent.name,
        "description": agent.description,
        "provider": agent.models[0].provider,
        "model": agent.models[0].model,
    }
    if agent.commands:
        member["commands"] = {
            name: command.model_dump(exclude_defaults=True) for name, command in agent.commands.items()
        }
    return member
