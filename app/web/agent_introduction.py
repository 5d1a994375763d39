"""The route that shows the first agent of a file to a person who is about to talk to it."""

from __future__ import annotations

from flask import Response

from app import errors
from app.agent.loop_events import agent_info, commands_of, team_info
from app.store.store import Store
from app.team.team_directory import TeamDirectory
from app.web.agent_info import AgentInfoJson
from app.web.resource import Resource, ResponseSpec, get
from app.web.response_json import json_response, time_text, without_empty


class AgentIntroductionResource(Resource):
    """Shows what clients offer before a session begins."""

    name = "agents"
    prefix = "/api/agents"

    def __init__(self, store: Store, directory: TeamDirectory) -> None:
        self._store = store
        self._directory = directory

    @get(
        "/<key>/info",
        "Shows the first agent of a file, and its team",
        answers={200: ResponseSpec("As the first run of a session tells it.", AgentInfoJson)},
        refusals=(errors.AgentNotFound, errors.InvalidAgentConfig),
    )
    def introduce(self, key: str) -> Response:
        """Its model, its welcome message and its commands, with their variables filled in."""
        team = self._directory.get(key)
        agent, now = team.agent(None), time_text(self._store.database.now(), whole=False)
        body: AgentInfoJson = {
            "agent": agent_info(agent).payload(now),
            "team": team_info(team, agent).payload(now),
            "commands": commands_of(agent) or None,
        }
        return json_response(without_empty(AgentInfoJson, body))
