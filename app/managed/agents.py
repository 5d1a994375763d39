"""Agents of the Managed Agents API, and their versions."""

from __future__ import annotations

from typing import Any

from flask import Response, request

from app.errors import InvalidRequest
from app.managed.agent_bodies import CreateAgent, UpdateAgent
from app.managed.agent_catalogue import AgentCatalogue
from app.managed.agent_definition import changed, definition, skill_json
from app.managed.bodies import patched, read
from app.managed.calls import Calls, get, post
from app.managed.id_validation import checked
from app.managed.paging import page_json, window
from app.managed.rosters import roster_json, stored_roster
from app.managed.served_tools import ServedTools
from app.managed.skills.session_skills import found_skills
from app.managed.times import times_json
from app.managed_ids import new_id
from app.store.definitions import Defined
from app.store.skill_store import SkillStore
from app.web.access import own_name, owner, role
from app.web.response_json import json_response

Json = dict[str, Any]


class AgentCalls(Calls):
    prefix = "/v1/agents"

    def __init__(self, agents: AgentCatalogue, skills: SkillStore, served: ServedTools) -> None:
        self._agents = agents
        self._skills = skills
        self._served = served

    @post("")
    def create(self) -> Response:
        body = read(CreateAgent)
        made = definition(body, stored_roster(body.multiagent, self._agents, owner=owner()))
        self._served.check(made, "tools")
        found_skills(self._skills, made["skills"], "skills", owner=owner())
        added = self._agents.add(new_id("agent"), made, owner=own_name(), shared=role() != "user")
        return json_response(agent_json(added))

    @get("")
    def page(self) -> Response:
        asked = window()
        rows = self._agents.page(asked, owner=owner())
        return json_response(page_json(rows, asked, agent_json, lambda one: (one.created_at, one.id)))

    @get("/<agent_id>")
    def retrieve(self, agent_id: str) -> Response:
        found = self._agents.get(checked("agent", agent_id), version=_version(), owner=owner())
        return json_response(agent_json(found))

    @post("/<agent_id>")
    def update(self, agent_id: str) -> Response:
        body, own_id = read(UpdateAgent), checked("agent", agent_id)
        own = self._agents.get(own_id, owner=owner())
        roster = stored_roster(body.multiagent, self._agents, own=own, owner=owner())

        def change(before: Defined) -> Json:
            if before.archived_at is not None:
                raise InvalidRequest("Cannot modify archived agent")
            after = changed(before.definition, body, roster, lambda now: patched(now, body.metadata))
            if body.given("tools"):
                self._served.check(after, "tools")
            return after

        if body.skills:
            found_skills(self._skills, [skill_json(one) for one in body.skills], "skills", owner=owner())

        found = self._agents.change(own_id, change, expected=body.version, owner=owner())
        return json_response(agent_json(found))

    @post("/<agent_id>/archive")
    def archive(self, agent_id: str) -> Response:
        return json_response(agent_json(self._agents.archive(checked("agent", agent_id), owner=owner())))

    @get("/<agent_id>/versions")
    def versions(self, agent_id: str) -> Response:
        asked = window()
        rows = self._agents.versions(checked("agent", agent_id), asked, owner=owner())
        return json_response(page_json(rows, asked, agent_json, lambda one: (float(one.version), one.id)))


def agent_json(agent: Defined) -> Json:
    return {
        "id": agent.id,
        "type": "agent",
        **agent.definition,
        "multiagent": roster_json(agent),
        "version": agent.version,
        **times_json(agent),
    }


def _version() -> int | None:
    given = request.args.get("version")
    if given is None:
        return None
    if not given.isascii() or not given.isdecimal() or len(given) > 9 or int(given) < 1:
        raise InvalidRequest("version: must be a whole number from 1 on")
    return int(given)
