"""Builds the toolsets of an agent: for its runs, and for whoever only looks at them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from app.agent import delegation
from app.agent.model_client import Cancellation
from app.agent.toolbox import Toolbox
from app.agent.tools import registry
from app.agent.tools.cage import Cage
from app.agent.tools.client_tools import ClientTools
from app.agent.tools.deferred import DeferredToolset, Shelf, Shelved
from app.agent.tools.lazy_toolset import on_demand
from app.agent.tools.mcp.tool_servers import ToolServers
from app.agent.tools.mcp.vault_toolset import VaultToolset
from app.agent.tools.run_facts import RunFacts
from app.agent.toolset import Toolset
from app.errors import ServerFull
from app.runtime.live_run import RunCancellation
from app.team.agent import Agent
from app.team.toolset_spec import ToolsetSpec

START_SECONDS: Final = 20.0
"""How long a request waits for the toolsets that it starts."""


class Toolboxes:
    """One for all threads of a process; each toolbox is its caller's."""

    def __init__(
        self, environment: Mapping[str, str], *, servers: ToolServers | None = None, cage: Cage | None = None
    ) -> None:
        self._environment = environment
        self._servers = servers
        self._cage = cage

    def build(self, spec: ToolsetSpec, state: object, facts: RunFacts) -> Toolset:
        """One toolset, not started yet. Raises ToolsetUnavailable."""
        return registry.build(
            spec,
            environment=self._environment,
            state=state,
            run=facts,
            servers=self._servers,
            cage=self._cage,
        )

    def skills(self, agent: Agent, facts: RunFacts) -> Any:
        """The agent's SkillsToolset, not started yet; the class is imported when it is needed."""
        return on_demand("skills", "SkillsToolset")(
            agent.skills,
            ground=facts.ground,
            working_dir=facts.working_dir,
            cancellation=facts.cancellation,
        )

    def toolbox(
        self, agent: Agent, states: Mapping[str, object], facts: RunFacts, notices: Sequence[str] = ()
    ) -> Toolbox:
        """All of the agent's, with what they left in the session's run before."""
        toolsets: dict[str, Toolset] = {}
        problems = []
        shelf = Shelf(state=states.get(f"{agent.name}/deferred"))
        for index, spec in enumerate(agent.toolsets):
            key = registry.key(spec, index, agent.name)
            try:
                toolsets[key] = self.build(spec, states.get(key), facts)
            except registry.ToolsetUnavailable as problem:
                problems.append(f"toolset {spec.type} failed: {problem}")
                continue
            if spec.defer:
                toolsets[key] = Shelved(toolsets[key], shelf, spec.defer)
        if any(spec.defer for spec in agent.toolsets):
            toolsets[f"{agent.name}/deferred"] = DeferredToolset(shelf)
        if agent.client_tools:
            toolsets[f"{agent.name}/client_tools"] = ClientTools(agent.client_tools)
        if (servers := self._servers) is not None:
            for one in agent.servers:
                toolsets[f"{agent.name}/servers/{one.name}"] = VaultToolset(
                    servers, one, owner=facts.owner, cancellation=facts.cancellation
                )
        if agent.skills:
            toolsets[f"{agent.name}/skills"] = self.skills(agent, facts)
        return Toolbox(
            toolsets,
            own_tools=delegation.tools_for(agent),
            problems=problems,
            notices=notices,
            described=agent.add_description_parameter,
            file=facts.file,
        )


@contextmanager
def patient() -> Iterator[Cancellation]:
    """A cancellation for what a request starts and waits for: it comes when a request has waited long enough.
    ServerFull if the system has no thread for that."""
    cancellation = RunCancellation()
    timer = threading.Timer(START_SECONDS, cancellation.cancel, ("time",))
    timer.daemon = True
    try:
        timer.start()
    except RuntimeError as error:
        raise ServerFull() from error
    try:
        yield cancellation
    finally:
        timer.cancel()
