"""The agent that has a session's conversation, with what was chosen for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.agent.model_client import Cancellation
from app.agent.tools.run_facts import RunFacts
from app.conversation.session import Session
from app.errors import RunNotFound
from app.roots import Roots
from app.runtime.model_overrides import asked, asked_for
from app.runtime.speaker import speaker
from app.runtime.thinking_levels import level_of, levels
from app.store.store import Store
from app.team.agent import Agent
from app.team.team import Team, Teams


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
    def names(self) -> tuple[str, ...]:
        """By which choices name it."""
        return self.team.names(self.own)

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

    def facts(self, roots: Roots, headers: Mapping[str, str], cancellation: Cancellation) -> RunFacts:
        """As a run would have them that a request with these headers begins, but for what only a run can do."""
        session = self.session
        ground = roots.of(session.owner)
        return RunFacts(
            team=self.team.key,
            file=self.team.source,
            owner=session.owner,
            working_dir=Path(session.working_dir or ground.roots[0]),
            ground=ground,
            headers=headers,
            cancellation=cancellation,
            colleagues=self.own.sub_agents,
            model=session.model,
        )


class SessionAgents:
    """Reads; any thread may call it."""

    def __init__(self, store: Store, directory: Teams) -> None:
        self._store = store
        self._directory = directory

    def find(self, session_id: str, *, owner: str | None) -> SessionAgent:
        """As the agent's file is now. RunNotFound before the session's first run: nobody knows its agent yet. Also
        SessionNotFound, AgentNotFound, InvalidAgentConfig."""
        session = self._store.sessions.get(session_id, owner=owner)
        runs = self._store.runs.recent(session_id=session_id, limit=1)
        given = (
            session.handed_to or session.agent
        )  # a copy and a task have their agent before a run of their own
        if not runs and not given:
            raise RunNotFound("session not found or not running")
        key, name = runs[0].key_and_name if runs else _parted(given)
        team = self._directory.get(key)
        name = speaker(self._store, session_id, runs) if runs else name
        own = team.agent(session.holder(team.key) or name or None)
        return SessionAgent(session, team, own, begun=session.parent_id is not None or bool(runs))

    def conversation(self, session: Session) -> str:
        """The id of the session at the top of all tasks."""
        while session.parent_id:
            session = self._store.sessions.get(session.parent_id)
        return session.id


def _parted(agent: str) -> tuple[str, str]:
    key, _, name = agent.partition("/")
    return key, name
