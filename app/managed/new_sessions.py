"""Makes sessions of the Managed Agents API."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from app.conversation.managed_events import is_self_hosted
from app.conversation.session import Session
from app.errors import InvalidRequest, NotFound
from app.managed.agent_catalogue import AgentCatalogue
from app.managed.budgets import cap as cap_of
from app.managed.budgets import first_budget
from app.managed.directories import Directories
from app.managed.environments import UNRESTRICTED
from app.managed.files.file_sources import FileSources
from app.managed.files.mounts import Mounts, mount_notes
from app.managed.id_validation import checked
from app.managed.memory.attached_stores import attached
from app.managed.memory.memory_bodies import Attached
from app.managed.rosters import members_of, resolved_roster
from app.managed.sent_messages import first_messages
from app.managed.served_tools import ServedTools
from app.managed.session_bodies import (
    AgentReference,
    AgentWithOverrides,
    CreateSession,
    overridden,
    refuse_second_outcome,
    refuse_unserved,
)
from app.managed.session_json import session_agent
from app.managed.skills.session_skills import skill_settings, skills_of_all
from app.managed.teams import AGENT, key_of
from app.managed.vaults.session_vaults import usable_vaults
from app.store.definitions import Defined
from app.store.managed_sessions import ManagedSession
from app.store.store import Store
from app.web.access import own_name, owner, requester

Json = dict[str, Any]


class NewSessions:
    """For request threads: a session belongs to the caller."""

    def __init__(
        self,
        store: Store,
        directories: Directories,
        served: ServedTools,
        mounts: Mounts,
        agents: AgentCatalogue,
    ) -> None:
        self._store = store
        self._directories = directories
        self._served = served
        self._mounts = mounts
        self._agents = agents

    def make(self, body: CreateSession) -> ManagedSession:
        """Its first messages wait for a run. All is checked before anything is made. InvalidRequest, NotFound."""
        refuse_second_outcome(body)
        agent = self._agent(body.agent)
        environment = self._environment(body.environment_id)
        elsewhere = self._is_elsewhere(agent, environment)
        config = environment.definition["config"]
        settings = {"agent": agent, "metadata": body.metadata, "environment_type": config["type"]}
        if not (self_hosted := is_self_hosted(settings)):
            settings["networking"] = config["networking"]["type"]
        everyone = (agent, *members_of(agent))
        if self_hosted and members_of(agent):
            raise InvalidRequest(
                "agent.multiagent: an agent with a roster can't work in a self_hosted environment here"
            )
        for one in everyone:
            self._served.check(one, "agent.tools", self_hosted=self_hosted)
        skills = skills_of_all(self._store.skills, everyone, "agent.skills", owner=owner())
        self._check_network(
            agent,
            everyone,
            settings.get("networking", UNRESTRICTED),
            self_hosted=self_hosted and not elsewhere,
        )
        vault_ids = usable_vaults(self._store.vaults, body.vault_ids)
        stores = [one for one in body.resources if isinstance(one, Attached)]
        memory_stores = attached(self._store.memory_stores, stores, owner=owner())
        budget = first_budget(body.budget, agent)
        session_id = str(uuid.uuid4())
        files = [one for one in body.resources if not isinstance(one, Attached)]
        if files and self_hosted:
            raise InvalidRequest("resources: workers of a self_hosted environment are given no files")
        resources = self._mounts.new(files, session_id=session_id, session_owner=own_name(), owner=owner())
        file = self._agents.file(agent["id"])
        settings |= {
            "mounts": mount_notes(resources, everyone),
            "vault_ids": vault_ids,
            "skills": skill_settings(skills),
            "agent_file": None if file is None else file.key,
            "memory_stores": memory_stores,
            "budget": budget,
        }
        sources = FileSources(self._store.files, owner=owner())
        messages, events = first_messages(
            self._store, session_id, body.initial_events, by=requester(), sources=sources
        )
        session = Session(
            id=session_id,
            title=body.title or "",
            owner=own_name(),
            working_dir="" if self_hosted else self._directory(session_id, agent),
            handed_to=f"{key_of(session_id)}/{AGENT}",
            budget=cap_of(budget, self._store.quotas.limits.session_budget),
        )
        return self._store.managed.create(
            replace(session, choices=replace(session.choices, without_title=True)),
            agent_id=agent["id"],
            agent_version=agent["version"],
            environment_id=environment.id,
            settings=settings,
            resources=resources,
            skills=[one.id for one in skills],
            messages=messages,
            events=events,
        )

    def _environment(self, environment_id: str) -> Defined:
        environment = self._store.environments.get(checked("env", environment_id), owner=owner())
        if environment.archived_at is not None:
            raise InvalidRequest(
                f"Environment {environment.id} is archived.", error_code="environment_archived"
            )
        self._served.check_network(environment)
        return environment

    def _is_elsewhere(self, agent: Json, environment: Defined) -> bool:
        """Is it an agent file whose tools run in this environment? InvalidRequest for one whose tools run in another
        one."""
        file = self._agents.file(agent["id"])
        wanted = "" if file is None else file.default_agent.environment
        if wanted and wanted not in (environment.id, environment.definition["name"]):
            raise InvalidRequest(
                f"environment_id: the tools of this agent file run in the environment {wanted}"
            )
        if wanted and environment.definition["config"]["type"] != "self_hosted":
            raise InvalidRequest(
                f"environment_id: the tools of this agent file run in a self_hosted environment, which {wanted} is not"
            )
        return bool(wanted)

    def _check_network(
        self, agent: Json, everyone: Sequence[Json], networking: str, *, self_hosted: bool
    ) -> None:
        if self._agents.file(agent["id"]) is not None and (self_hosted or networking != UNRESTRICTED):
            raise InvalidRequest(
                "environment_id: the tools of an agent file run here, and their network can't be limited"
            )
        for one in everyone:
            self._served.check_servers(one, networking, "agent.tools")

    def _directory(self, session_id: str, agent: Json) -> str:
        return str(self._directories.make(session_id, agent["id"], owner=own_name()))

    def _agent(self, given: AgentReference | AgentWithOverrides) -> Json:
        """The agent that is frozen into the session. NotFound, InvalidRequest."""
        try:
            stored = self._agents.get(checked("agent", given.id), version=given.version, owner=owner())
        except NotFound as error:
            if given.version is None or "version" not in error.message:
                raise
            raise NotFound(f"agent.version: {given.version} not found") from None
        if stored.archived_at is not None:
            raise InvalidRequest(f"agent {given.id} is archived and cannot be used to create a session")
        if isinstance(given, AgentWithOverrides) and self._agents.file(given.id) is not None:
            raise InvalidRequest("agent.type: an agent file can't be overridden")
        agent = session_agent(stored, overridden(stored.definition, given))
        agent["multiagent"] = resolved_roster(agent, self._store.agents, session_agent)
        for one in (agent, *members_of(agent)):
            refuse_unserved(one)
        return agent
