"""The events that tell of what the loop works with: the team, its agents, the user's messages."""

from __future__ import annotations

from typing import Any

from app.conversation import events
from app.conversation.blocks import plain_text
from app.conversation.events import Event
from app.conversation.transcript import Message
from app.conversation.wire_content import wire_parts
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


def user_message_event(session_id: str, row: Message, *, message_id: str = "") -> Event:
    return events.UserMessage(
        message=plain_text(row.content),
        multi_content=wire_parts(row.content) if any(b.get("type") != "text" for b in row.content) else (),
        session_id=session_id,
        session_position=row.position,
        message_id=message_id,
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
