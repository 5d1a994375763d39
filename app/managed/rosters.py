"""Rosters of the Managed Agents API: the agents that an agent gives work to, in threads of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol

from app.errors import InvalidRequest
from app.managed.id_validation import checked
from app.managed.roster_bodies import Itself, Roster
from app.store.definitions import Defined
from app.store.stored_agents import StoredAgents
from app.team.colleague import Colleague
from app.team.team import Team

Json = dict[str, Any]

SELF: Final[Json] = {"type": "self"}
_MEMBER: Final = "member-"


class FoundAgents(Protocol):
    """Where the members of a roster are found: `AgentCatalogue`."""

    def get(self, agent_id: str, *, version: int | None = None, owner: str | None) -> Defined: ...

    def file(self, agent_id: str) -> Team | None: ...


def stored_roster(
    given: Roster | None, agents: FoundAgents, *, own: Defined | None = None, owner: str | None
) -> Json | None:
    """The roster with each member's version pinned. `own` is the agent that has it, if it is there already: its newest
    version stands for itself. NotFound, InvalidRequest."""
    if given is None:
        return None
    own_id, members = own.id if own else "", dict[str, Json]()
    for place, one in enumerate(given.agents):
        where = f"multiagent.agents.{place}"
        if isinstance(one, Itself) or (own and one.id == own_id and one.version in (None, own.version)):
            agent_id, member = own_id, SELF
        else:
            if agents.file(one.id) is not None:
                raise InvalidRequest(f"{where}: an agent file can't be a member of a roster")
            found = agents.get(checked("agent", one.id), version=one.version, owner=owner)
            _refuse_member(found, where)
            agent_id, member = found.id, {"type": "agent", "id": found.id, "version": found.version}
        if agent_id in members:
            raise InvalidRequest(f"{where}: duplicate entry; each agent may be named once")
        members[agent_id] = member
    return {"type": "coordinator", "agents": [*members.values()]}


def _refuse_member(found: Defined, where: str) -> None:
    if found.archived_at is not None:
        raise InvalidRequest(f"{where}: agent {found.id} is archived")
    if found.definition["multiagent"] is not None:
        raise InvalidRequest(
            f"{where}: agent {found.id} has a roster of its own; its threads could have none"
        )


def roster_json(agent: Defined) -> Json | None:
    """The roster of a stored agent, in which the agent itself has its id and version."""
    roster: Json | None = agent.definition["multiagent"]
    if roster is None:
        return None
    itself = {"type": "agent", "id": agent.id, "version": agent.version}
    return {**roster, "agents": [itself if one == SELF else one for one in roster["agents"]]}


def thread_agent(agent: Mapping[str, Any]) -> Json:
    """An agent as a thread has it: without a roster."""
    return {name: value for name, value in agent.items() if name != "multiagent"}


def resolved_roster(agent: Json, agents: StoredAgents, freeze: Callable[[Defined], Json]) -> Json | None:
    """The roster of a session's agent, its members as they are frozen into the session; `freeze` does that with one.
    Members are found whoever they belong to: the one who stored the roster was allowed to name them."""
    roster: Json | None = agent["multiagent"]
    if roster is None:
        return None
    members = [
        thread_agent(agent)
        if one == SELF
        else thread_agent(freeze(agents.get(one["id"], version=one["version"], owner=None)))
        for one in roster["agents"]
    ]
    return {**roster, "agents": members}


def members_of(agent: Mapping[str, Any]) -> Sequence[Json]:
    """The members of a session's agent."""
    roster = agent.get("multiagent")
    return roster["agents"] if roster else ()


def with_members(team: Team, agent: Mapping[str, Any], make: Callable[[Json], Team]) -> Team:
    """The team of a session's agent together with the members of its roster; `make` makes the team of one of them."""
    members = members_of(agent)
    if not members:
        return team
    colleagues, made = [], []
    for place, member in enumerate(members):
        key = f"{_MEMBER}{place}"
        own = make(member)
        colleagues.append(Colleague(key, member["name"], member["id"], member["description"] or ""))
        made.append(own.agents[0].with_(name=key, own_permissions=own.permissions))
    root = team.agents[0].with_(roster=tuple(colleagues))
    return replace(team, agents=(root, *made))


def member_of(agent: Mapping[str, Any], key: str) -> Json:
    """The member that the team knows by that key."""
    place = key.removeprefix(_MEMBER)
    return members_of(agent)[int(place)]
