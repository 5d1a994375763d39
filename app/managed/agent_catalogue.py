"""Agents that sessions can be made of: those that clients have defined, and the server's agent files, which can only be
read."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

from app.errors import AppError, InvalidRequest, NotFound
from app.managed.elsewhere import tools_of
from app.managed_ids import id_of
from app.store.definitions import Change, Defined
from app.store.key_pages import Window
from app.store.stored_agents import StoredAgents
from app.team.team import Team
from app.team.team_directory import TeamDirectory

Json = dict[str, Any]

_FILES: Final = uuid.UUID("5b0b4ad0-6d5b-4b86-9d3c-0b7f2a5f0c11")


class AgentCatalogue:
    """Any thread may call it. `owner` narrows a call to what one token's holder may use: their own, what is shared, and
    all agent files. None: everything."""

    def __init__(self, stored: StoredAgents, files: TeamDirectory) -> None:
        self._stored = stored
        self._files = files

    def add(self, agent_id: str, definition: Json, *, owner: str, shared: bool) -> Defined:
        return self._stored.add(agent_id, definition, owner=owner, shared=shared)

    def get(self, agent_id: str, *, version: int | None = None, owner: str | None) -> Defined:
        """NotFound for one that is not there, or not visible; and for a version that it does not have."""
        if (team := self.file(agent_id)) is None:
            return self._stored.get(agent_id, version=version, owner=owner)
        found = self._defined(team)
        if version not in (None, found.version):
            raise NotFound("Agent version not found.")
        return found

    def page(self, window: Window, *, owner: str | None) -> Sequence[Defined]:
        """Newest first, with one more than the limit."""
        files = [one for one in self._listed() if _is_in(one, window)]
        found = [*self._stored.page(window, owner=owner), *files]
        return sorted(found, key=lambda one: (one.created_at, one.id), reverse=True)[: window.limit + 1]

    def versions(self, agent_id: str, window: Window, *, owner: str | None) -> Sequence[Defined]:
        """Newest first, with one more than the limit. The window's place names a version."""
        if (team := self.file(agent_id)) is None:
            return self._stored.versions(agent_id, window, owner=owner)
        return [] if window.after is not None else [self._defined(team)]

    def change(self, agent_id: str, change: Change, *, expected: int | None, owner: str | None) -> Defined:
        """InvalidRequest for an agent file."""
        self._refuse_file(agent_id)
        return self._stored.change(agent_id, change, expected=expected, owner=owner)

    def archive(self, agent_id: str, *, owner: str | None) -> Defined:
        """InvalidRequest for an agent file."""
        self._refuse_file(agent_id)
        return self._stored.archive(agent_id, owner=owner)

    def file(self, agent_id: str) -> Team | None:
        """The team of the agent file that has this id; None if none has."""
        return next((team for team in self._teams() if file_id(team.key) == agent_id), None)

    def _refuse_file(self, agent_id: str) -> None:
        if (team := self.file(agent_id)) is not None:
            raise InvalidRequest(f"{agent_id} is the agent file {team.key} of this server; change the file")

    def _listed(self) -> Iterator[Defined]:
        for team in self._teams():
            with suppress(AppError):  # its file has gone a moment ago
                yield self._defined(team)

    def _teams(self) -> Iterator[Team]:
        for one in self._files.list():
            with suppress(AppError):
                yield self._files.get(one.name)

    def _defined(self, team: Team) -> Defined:
        """The part of a file that the API has words for. The instruction is as written."""
        agent, written = team.default_agent, team.file.agents[team.default_agent.name]
        changed_at = self._files.changed_at(team.key)
        model = {"id": agent.models[0].model, "effort": None, "inference_geo": None, "speed": "standard"}
        definition: Json = {
            "name": team.key,
            "description": written.description or None,
            "model": model,
            "system": written.instruction or None,
            "tools": tools_of(agent),
            "mcp_servers": [],
            "skills": [],
            "multiagent": None,
            "metadata": {"agent_file": team.key},
            "execution_identity": {"type": "service_account"},
        }
        return Defined(file_id(team.key), "", _version(team), definition, changed_at, changed_at, None)


def file_id(key: str) -> str:
    """The id of the agent file with this key."""
    return id_of("agent", uuid.uuid5(_FILES, key))


def _version(team: Team) -> int:
    """Another number for another text."""
    return 1 + int(hashlib.sha256(team.digest.encode()).hexdigest()[:7], 16)


def _is_in(agent: Defined, window: Window) -> bool:
    made, since, until = agent.created_at, window.made.since, window.made.until
    if window.after is not None and (made, agent.id) >= window.after:
        return False
    return (since is None or made >= since) and (until is None or made <= until)
