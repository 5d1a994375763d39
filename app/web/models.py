"""The route that lists the models of a server."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Response

from app import errors
from app.agent import model_catalogue
from app.team.team_directory import TeamDirectory
from app.web.resource import Resource, ResponseSpec, get
from app.web.response_json import json_response


class ModelsResource(Resource):
    """The models by which agents could be asked to go on."""

    name = "models"
    prefix = "/api/models"

    def __init__(self, directory: TeamDirectory) -> None:
        self._directory = directory

    @get(
        "",
        "Lists the models that are known",
        answers={200: ResponseSpec("As a run's `model` names them, sorted.", list[str])},
        stores=False,
    )
    def all(self) -> Response:
        """Those of the agent files that load, and those whose price and window this server knows. Others can be named
        all the same."""
        known = {f"anthropic/{name}" for name in model_catalogue.NAMES}
        return json_response(sorted(known | set(self._in_use())))

    def _in_use(self) -> Iterator[str]:
        for summary in self._directory.list():
            try:
                team = self._directory.get(summary.name)
            except (errors.AgentNotFound, errors.InvalidAgentConfig):
                continue  # it has changed meanwhile
            for agent in team.agents:
                yield from (
                    model.id
                    for model in (*agent.models, *agent.fallback_models)
                    if model.provider == "anthropic"
                )
