"""Routes of agents: which there are, and how each is defined."""

from __future__ import annotations

from flask import Blueprint, Response

from app.errors import AgentNotFound, InvalidAgentConfig
from app.runtime.agent_planner import AgentPlanner
from app.team.team_directory import TeamDirectory
from app.web.error_prefix import error_prefix
from app.web.response_json import json_response


def blueprint(directory: TeamDirectory, planner: AgentPlanner) -> Blueprint:
    routes = Blueprint("agents", __name__, url_prefix="/api/agents")

    @routes.get("")
    def summaries() -> Response:
        return json_response(
            [
                {"name": agent.name, "description": agent.description, "multi": agent.multi}
                for agent in directory.list()
            ]
        )

    @routes.get("/<key>")
    def definition(key: str) -> Response:
        try:
            return json_response(directory.get(key).wire())
        except (AgentNotFound, InvalidAgentConfig) as error:
            raise AgentNotFound("Not Found", detail=error.message) from error

    @routes.get("/<key>/<path:name>/tools/count")
    def count_tools(key: str, name: str) -> Response:
        with error_prefix("get agent tool count"):
            return json_response({"available_tools": planner.count_tools(key, name)})

    return routes
