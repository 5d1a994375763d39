"""Sessions of Baton's own door whose agent file names a self-hosted environment. From their first run on workers find
them at the Managed Agents API."""

from __future__ import annotations

from app.errors import Conflict, InvalidAgentConfig, SessionBusy
from app.managed.agent_catalogue import AgentCatalogue, file_id
from app.managed.session_json import session_agent
from app.managed.teams import key_of
from app.managed_ids import number_in
from app.store.definitions import Defined
from app.store.run_request import RunRequest
from app.store.store import Store
from app.team.agent import Agent
from app.team.team import Teams


class SessionsElsewhere:
    """Any thread may call it."""

    def __init__(self, store: Store, teams: Teams, agents: AgentCatalogue) -> None:
        self._store = store
        self._teams = teams
        self._agents = agents

    def key_for(self, request: RunRequest, *, waits: bool) -> str:
        """The key of the team that runs: the session's own, if workers run the agent's tools. AgentNotFound,
        SessionNotFound; InvalidAgentConfig if there is no such environment for the session's owner; Conflict for a
        session whose tools run otherwise. Before the first such request changes its session, what `ClaimStore.check`
        raises, and SessionBusy unless the request `waits` for a run at work."""
        session_id, key = request.session_id, request.key
        if number_in("sesn", key) is not None:
            return key
        agent = self._teams.get(key).agent(request.name)
        if not agent.environment:
            return key
        if (known := self._store.managed.settings(session_id)) is None:
            self._store.claims.check(
                session_id,
                visible_to=request.visible_to,
                expected_position=request.expected_position,
                counts_runs=True,
            )
            if not waits:
                self._refuse_busy(session_id)
            self._take_in(session_id, key, agent)
        elif known[0].get("agent_file") != key:
            raise Conflict(
                f"the session runs another agent than {key}, whose tools run in an environment: begin another session"
            )
        return key_of(session_id)

    def _refuse_busy(self, session_id: str) -> None:
        """A run that is stopping is given its moment later."""
        try:
            with self._store.claims.holding(session_id):
                return
        except SessionBusy as busy:
            if busy.run is None or not busy.run.is_stopping:
                raise

    def _take_in(self, session_id: str, key: str, agent: Agent) -> None:
        owner = self._store.sessions.get(session_id).owner
        environment = self._environment(agent, owner)
        defined = self._agents.get(file_id(key), owner=owner)
        settings = {
            "agent": {**session_agent(defined), "multiagent": None},
            "metadata": {},
            "environment_type": "self_hosted",
            "agent_file": key,
        }
        self._store.managed.take_in(
            session_id,
            agent_id=defined.id,
            agent_version=defined.version,
            environment_id=environment.id,
            settings=settings,
        )

    def _environment(self, agent: Agent, owner: str) -> Defined:
        found = self._store.environments.called(agent.environment, owner=owner)
        self_hosted = [one for one in found if one.definition["config"]["type"] == "self_hosted"]
        if len(self_hosted) == 1:
            return self_hosted[0]
        place = f"agents.{agent.name}.environment"
        if self_hosted:
            raise InvalidAgentConfig(f"{place}: several are called {agent.environment}; name one by its id")
        if found:
            raise InvalidAgentConfig(
                f"{place}: {agent.environment} is not self_hosted: no worker runs tools there"
            )
        raise InvalidAgentConfig(
            f"{place}: there is no environment {agent.environment} that the session's owner may use"
        )
