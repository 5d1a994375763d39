"""The models, and how much they think, that the maker of a session has chosen for agents, by the agents' names."""

from __future__ import annotations

from app.conversation.session import Session, chosen
from app.errors import InvalidRequest
from app.runtime.thinking_levels import at_level, chosen_level
from app.team.agent import Agent
from app.team.team import Team


def override(team: Team, session: Session, agent: Agent) -> str:
    """The model that the session's maker has chosen for the agent."""
    return chosen(session.choices.models, team.names(agent))


def asked_for(team: Team, session: Session, agent: Agent) -> str:
    """The model that was chosen in place of the agent's own: by a run, or else by the session's maker."""
    return session.model or override(team, session, agent)


def overridden(team: Team, session: Session, agent: Agent) -> Agent:
    """As the agent is, if its override can't be served: a session must not break over it."""
    reference = override(team, session, agent)
    try:
        return agent.with_(models=team.models(reference)) if reference else agent
    except InvalidRequest:
        return agent


def asked(team: Team, session: Session, agent: Agent) -> Agent:
    """The agent with the model and the thinking level that a request or the session's maker has chosen."""
    asking = agent.asking(session.model) if session.model else overridden(team, session, agent)
    return at_level(asking, chosen_level(team, session, agent))


def unserved(team: Team, session: Session, agent: Agent) -> list[str]:
    """An override that has no effect is said."""
    reference = "" if session.model else override(team, session, agent)
    try:
        if reference:
            team.models(reference)
    except InvalidRequest as error:
        return [f"Agent '{agent.name}' goes on by its own model: {error.message}"]
    return []
