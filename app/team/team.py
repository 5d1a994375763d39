"""A team: the agents of one file, ready to be used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from app.errors import AgentNotFound, InvalidRequest
from app.team.agent import Agent
from app.team.agent_file_json import team_payload
from app.team.config import Metadata, TeamFile
from app.team.model_definition import ModelSpec
from app.team.permissions import Permissions
from app.team.references import check_model, find_model, members


@dataclass(frozen=True, slots=True)
class Team:
    key: str
    """The team's name in URLs: the file's name without its extension."""
    source: str
    """Where it was read from, for messages."""
    digest: str
    """Changes with the text and with the variables that it uses; a session's frozen prompt depends on it."""
    agents: tuple[Agent, ...]
    """In the order of the file; at least one."""
    file: TeamFile
    """As written: references resolved, but no variable expanded."""

    @property
    def version(self) -> str:
        return self.file.version

    @property
    def metadata(self) -> Metadata:
        return self.file.metadata

    @property
    def permissions(self) -> Permissions:
        return self.file.permissions or Permissions()

    @property
    def default_agent(self) -> Agent:
        """The one named `root`, else the first."""
        return next((agent for agent in self.agents if agent.name == "root"), self.agents[0])

    def names(self, agent: Agent) -> tuple[str, ...]:
        """By which requests and choices name the agent: its own name first; `root` too, if it is the default agent."""
        return (agent.name, "root") if agent.name == self.default_agent.name else (agent.name,)

    def agent(self, name: str | None = None) -> Agent:
        """None and `root` mean the default agent, whatever it is called; raises AgentNotFound."""
        if name is None or name == "root":
            return self.default_agent
        for agent in self.agents:
            if agent.name == name:
                return agent
        names = ", ".join(agent.name for agent in self.agents)
        raise AgentNotFound(f"agent not found: {name} (available agents: {names})")

    def models(self, reference: str) -> tuple[ModelSpec, ...]:
        """The models that a reference stands for in this file; more than one for an alloy. Raises InvalidRequest."""
        finding = next(check_model(self.file, reference, (), "the request"), None)
        if finding is not None:
            raise InvalidRequest(finding.text)
        found = (find_model(self.file, name) for name in members(self.file, reference))
        return tuple(model for model in found if model is not None)

    def required_environment(self, agent: Agent) -> tuple[str, ...]:
        """Variables without which the agent, or one that it may call, can't reach a model; sorted.

        The API key itself is not among them: whether it is needed depends on the server.
        """
        names = {
            model.token_key
            for reachable in self._reachable(agent)
            for model in (*reachable.models, *reachable.fallback_models)
        }
        return tuple(sorted(names - {"", "ANTHROPIC_API_KEY"}))

    def wire(self) -> dict[str, Any]:
        """The JSON of `GET /api/agents/:id`, with literal secrets masked."""
        return team_payload(self.file)

    def _reachable(self, start: Agent) -> Iterator[Agent]:
        by_name = {agent.name: agent for agent in self.agents}
        pending, seen = [start], {start.name}
        while pending:
            agent = pending.pop()
            yield agent
            for name in (*agent.sub_agents, *agent.handoffs):
                if name not in seen:
                    seen.add(name)
                    pending.append(by_name[name])


class Teams(Protocol):
    """Finds teams by their keys."""

    def get(self, key: str) -> Team:
        """AgentNotFound, InvalidAgentConfig."""
        ...
