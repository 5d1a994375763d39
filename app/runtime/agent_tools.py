"""What an agent has to work with, for people who want to see it: its tools and its toolsets."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from app.agent.tools.mcp.mcp_toolset import McpToolset
from app.agent.tools.mcp.server_state import ServerStatus
from app.agent.tools.registry import ToolsetUnavailable
from app.agent.tools.run_facts import NeverCancelled, RunFacts
from app.agent.tools.toolset_bases import innermost
from app.agent.toolset import Tool, Toolset
from app.errors import InvalidRequest, PartNotFound, ToolsetBusy
from app.roots import Roots
from app.runtime.session_agents import SessionAgent
from app.runtime.toolboxes import Toolboxes, patient
from app.store.store import Store
from app.team.agent import Agent
from app.team.team import Teams

COUNT_SECONDS: Final = 30.0
"""How long a number of tools is told again: clients ask several times while they start."""


@dataclass(frozen=True, slots=True)
class ToolsetStatus:
    """`name` is that of the agent file, or else says what it is; no other toolset of the agent has it. `kind` is empty
    for toolsets that are a part of this server: their state is `ready`, or `failed` if they can't be had here."""

    name: str
    kind: str
    description: str
    server: ServerStatus
    restartable: bool


@dataclass(frozen=True, slots=True)
class SkillFound:
    name: str
    description: str
    files: Sequence[str]


class AgentTools:
    """Any thread may call it."""

    def __init__(self, store: Store, directory: Teams, toolboxes: Toolboxes, roots: Roots) -> None:
        self._store = store
        self._directory = directory
        self._toolboxes = toolboxes
        self._roots = roots
        self._counts: dict[
            tuple[str, str], tuple[str, int, float]
        ] = {}  # of which text, how many, until when

    def count(self, key: str, name: str | None) -> int:
        """How many tools an agent has; starts its toolsets for a moment, unless that was asked a moment ago."""
        team = self._directory.get(key)
        agent = team.agent(name)
        place, now = (team.key, agent.name), time.monotonic()
        digest, count, until = self._counts.get(place, ("", 0, 0.0))
        if digest != team.digest or until < now:
            ground = self._roots.common
            facts = RunFacts(
                team=team.key,
                file=team.source,
                working_dir=ground.roots[0],
                ground=ground,
                colleagues=agent.sub_agents,
            )
            count = len(self._listed(agent, {}, facts))
            self._counts[place] = (team.digest, count, now + COUNT_SECONDS)
        return count

    def tools(self, of: SessionAgent, headers: Mapping[str, str]) -> Sequence[Tool]:
        """The tools that the session's next run would offer to its model. Toolsets are started for it, within a bound;
        one that is not ready by then is left out, as is one that fails or wants an authorization."""
        states = self._store.sessions.tool_states(of.session.id) if of.own.toolsets else {}
        with patient() as cancellation:
            return self._listed(of.own, states, of.facts(self._roots, headers, cancellation))

    def skills(self, of: SessionAgent, headers: Mapping[str, str]) -> Sequence[SkillFound]:
        """The skills that the session's next run would offer, looked for now and within a bound. A web server that
        does not answer is left out."""
        if not of.own.skills:
            return ()
        with patient() as cancellation:
            toolset = self._toolboxes.skills(of.own, of.facts(self._roots, headers, cancellation))
            try:
                toolset.start()
                return [SkillFound(one.name, one.description, one.files) for one in toolset.listed()]
            finally:
                toolset.stop()

    def toolsets(self, of: SessionAgent, headers: Mapping[str, str]) -> list[ToolsetStatus]:
        """How the toolsets are; starts none."""
        return [status for status, _ in self._looked_at(of, headers)]

    def restart(self, of: SessionAgent, name: str, headers: Mapping[str, str]) -> None:
        """Has the tool server of that toolset, in this process, connect anew; one that does not run is started by the
        next run anyway. PartNotFound; InvalidRequest for a toolset without a server; ToolsetBusy while the server
        has a call, of whatever session."""
        found = {status.name: toolset for status, toolset in self._looked_at(of, headers)}
        if name not in found:
            raise PartNotFound(f"agent {of.own.name} has no such toolset: {name:.200}")
        toolset = found[name]
        if not isinstance(toolset, McpToolset):
            raise InvalidRequest(f"the toolset {name:.200} has no server that could be restarted", status=422)
        if not toolset.restart():
            raise ToolsetBusy()

    def _listed(self, agent: Agent, states: Mapping[str, object], facts: RunFacts) -> Sequence[Tool]:
        toolbox = self._toolboxes.toolbox(agent, states, facts)
        try:
            return list(toolbox.list_tools())
        finally:
            toolbox.stop()

    def _looked_at(
        self, of: SessionAgent, headers: Mapping[str, str]
    ) -> Iterator[tuple[ToolsetStatus, Toolset | None]]:
        """Each toolset as it is, and as it was built: None for one that can't be."""
        facts = of.facts(self._roots, headers, NeverCancelled())
        names: set[str] = set()
        for index, spec in enumerate(of.own.toolsets):
            kind = ("Remote MCP" if spec.remote.url else "MCP") if spec.type == "mcp" else ""
            toolset: Toolset | None = None
            server = ServerStatus("failed")
            label = ""
            try:
                toolset = innermost(self._toolboxes.build(spec, None, facts))
            except ToolsetUnavailable:
                pass
            else:
                label = str(getattr(toolset, "label", ""))
                server = toolset.status() if isinstance(toolset, McpToolset) else ServerStatus("ready")
            name = spec.name or label or spec.type
            if name in names:
                name = f"{name}#{index}"
            names.add(name)
            yield ToolsetStatus(name, kind, label, server, isinstance(toolset, McpToolset)), toolset
