"""The route that shows the agent that has a session, as the events of a run tell of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NotRequired

from flask import Response
from typing_extensions import TypedDict

from app.agent.loop_events import agent_info, commands_of, team_info
from app.runtime.session_agents import SessionAgents
from app.store.store import Store
from app.web.access import owner
from app.web.resource import Resource, ResponseSpec, get
from app.web.response_json import IfAny, Json, json_response, time_text, without_empty
from app.web.session_agent import REFUSALS


class AgentInfoJson(TypedDict):
    """`agent` and `team` are the events `agent_info` and `team_info` as the next run has them; `commands` are the
    agent's."""

    agent: Json
    team: Json
    commands: NotRequired[IfAny[Mapping[str, Json]]]


class AgentInfoResource(Resource):
    """Shows whose a session is."""

    name = "looking"
    prefix = "/api/sessions/<session:session_id>"

    def __init__(self, store: Store, agents: SessionAgents) -> None:
        self._store = store
        self._agents = agents

    @get(
        "/agent-info",
        "Shows the agent that has a session, and its team",
        answers={200: ResponseSpec("As the next run tells it.", AgentInfoJson)},
        refusals=REFUSALS,
    )
    def agent_info(self, session_id: str) -> Response:
        found = self._agents.find(session_id, owner=owner())
        agent, now = found.agent, time_text(self._store.database.now(), whole=False)
        body: AgentInfoJson = {
            "agent": agent_info(agent).payload(now),
            "team": team_info(found.team, agent).payload(now),
            "commands": commands_of(agent) or None,
        }
        return json_response(without_empty(AgentInfoJson, body))
