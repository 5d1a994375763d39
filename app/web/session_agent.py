"""The agent that has a session, with what was chosen for it, and what clients are told of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NotRequired

from typing_extensions import TypedDict

from app import errors
from app.conversation.session import Session
from app.runtime.model_overrides import asked, asked_for
from app.runtime.session_agents import SessionAgents
from app.runtime.thinking_levels import level_of, levels
from app.store.store import Store
from app.team.agent import Agent
from app.team.team import Team
from app.web.access import owner
from app.web.response_json import without_empty

REFUSALS: Final = (
    *(errors.SessionNotFound, errors.RunNotFound),
    *(errors.AgentNotFound, errors.InvalidAgentConfig),
)


class CapabilitiesJson(TypedDict):
    """Which routes of the session do something. A key is left out if they don't."""

    delegation_policy: bool
    stop_subtree: bool
    permissions_inspection: bool
    branching: bool
    model_switching: bool
    thinking_levels: NotRequired[bool]


class SessionMetadataJson(TypedDict):
    """`model`: the one that the agent asks. `thinking_level` is left out if it thinks at none of these levels."""

    session_id: str
    agent_name: str
    model: NotRequired[str]
    thinking_levels: NotRequired[Sequence[str]]
    thinking_level: NotRequired[str]
    capabilities: CapabilitiesJson


@dataclass(frozen=True, slots=True)
class SessionAgent:
    """`own` is as its file has it, `agent` with the model and the level that were chosen for it."""

    session: Session
    team: Team
    own: Agent
    begun: bool
    """A run of the session has begun already, and has said whether it thinks."""

    def after(self, session: Session) -> SessionAgent:
        """The same agent, when the session has changed."""
        return SessionAgent(session, self.team, self.own, self.begun)

    def in_copy(self, copy: Session) -> SessionAgent:
        """The same agent in a new session."""
        return SessionAgent(copy, self.team, self.own, begun=False)

    def switched_to(self, name: str) -> SessionAgent:
        """Another agent of the same file. AgentNotFound."""
        return SessionAgent(self.session, self.team, self.team.agent(name), self.begun)

    @property
    def names(self) -> frozenset[str]:
        """By which choices name it; `root` is the default agent, as everywhere."""
        is_default = self.own.name == self.team.default_agent.name
        return frozenset({self.own.name, "root"} if is_default else {self.own.name})

    @property
    def agent(self) -> Agent:
        return asked(self.team, self.session, self.own)

    @property
    def model_ref(self) -> str:
        """What was chosen in place of its own model; empty if nothing was."""
        return asked_for(self.team, self.session, self.own)

    @property
    def levels(self) -> tuple[str, ...]:
        """InvalidRequest if its model can't think."""
        return levels(self.agent)

    @property
    def level(self) -> str:
        """Its thinking level; empty if that is none of those to choose from."""
        starts = not self.begun and self.own.starts_thinking
        return level_of(self.agent, thinks=self.session.thinking or starts)

    def metadata(self) -> SessionMetadataJson:
        agent = self.agent
        try:
            known: Sequence[str] = levels(agent)
        except errors.InvalidRequest:
            known = ()
        can: CapabilitiesJson = {
            "delegation_policy": True,
            "stop_subtree": True,
            "permissions_inspection": True,
            "branching": True,
            "model_switching": True,
            "thinking_levels": bool(known),
        }
        body: SessionMetadataJson = {
            "session_id": self.session.id,
            "agent_name": agent.name,
            "model": agent.models[0].id,
            "thinking_levels": known,
            "thinking_level": self.level if known else "",
            "capabilities": without_empty(CapabilitiesJson, can),
        }
        return without_empty(SessionMetadataJson, body)


class ChosenAgents:
    """Finds whose a session is. Shared by all request threads."""

    def __init__(self, store: Store, agents: SessionAgents) -> None:
        self._store = store
        self._agents = agents

    def of(self, session_id: str) -> SessionAgent:
        """The agent that the session was given to, or else that of its last run. RunNotFound before the first run:
        nobody knows it yet. SessionNotFound also for a session that the asker may not see; AgentNotFound,
        InvalidAgentConfig."""
        found = self._agents.find(session_id, owner=owner())
        session = found.session
        begun = session.parent_id is not None or bool(self._store.runs.recent(session_id=session_id, limit=1))
        return SessionAgent(session, found.team, found.agent, begun)
