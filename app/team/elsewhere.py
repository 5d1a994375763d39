"""Agents of agent files whose files and commands are on a worker's machine: what such an agent may have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from app.conversation.managed_events import WORKER_TOOLS
from app.team.agent import AgentDefinition
from app.team.problems import FieldFinding, Path
from app.team.toolset_spec import ToolsetSpec

TOOLSET: Final = "agent_toolset"
_HERE: Final = (
    "background_jobs",
    "environment",
    "file",
    "filesystem",
    "git",
    "lsp",
    "rag",
    "script",
    "shell",
    "tasks",
)
"""Types of toolsets that work on the server's own files and commands, with tools that no worker knows."""
_FIELDS: Final[Mapping[str, str]] = {
    "sub_agents": "a worker is told of no calls of other agents",
    "handoffs": "a worker is told of no calls of other agents",
    "add_environment_info": "the server does not know the worker's machine",
    "add_prompt_files": "the server does not have the worker's files",
    "skills": "the server does not have the worker's files",
    "use_skills": "the server does not have the worker's files",
    "readonly": "give the agent_toolset the tools that it shall have",
    "add_description_parameter": "workers know no such argument",
}


def worker_tools(toolset: ToolsetSpec) -> list[str]:
    """The tools of the toolset that workers make the calls of, if its agent has an environment."""
    if toolset.type != TOOLSET:
        return []
    return [name for name in WORKER_TOOLS if name in toolset.tools or not toolset.tools]


def check_elsewhere(
    agents: Mapping[str, AgentDefinition],
    named: Mapping[str, ToolsetSpec],
    name: str,
    agent: AgentDefinition,
) -> Iterator[FieldFinding]:
    """Whatever keeps the tools of an agent with an `environment` from running there. `named` are the toolsets of the
    file's own section."""
    path: Path = ("agents", name)
    if not agent.environment:
        return
    first = "root" if "root" in agents else next(iter(agents))
    if name != first:
        yield FieldFinding((*path, "environment"), f"is possible for the file's first agent '{first}' only")
    if any(name in (*other.sub_agents, *other.handoffs) for other in agents.values()):
        yield FieldFinding((*path, "environment"), "is not possible for an agent that others give work to")
    for field, why in _FIELDS.items():
        if getattr(agent, field):
            yield FieldFinding((*path, field), f"can't be used together with environment: {why}")
    toolsets = [((*path, "toolsets", index), toolset) for index, toolset in enumerate(agent.toolsets)]
    toolsets += [
        ((*path, "use_toolsets", index), named[key])
        for index, key in enumerate(agent.use_toolsets)
        if key in named
    ]
    for place, toolset in toolsets:
        if why := _stays_here(toolset):
            yield FieldFinding(place, why)
    if not any(worker_tools(toolset) for _, toolset in toolsets):
        names = ", ".join(WORKER_TOOLS)
        words = f"needs a toolset of the type {TOOLSET} with at least one of {names}: workers run these"
        yield FieldFinding((*path, "environment"), words)


def _stays_here(toolset: ToolsetSpec) -> str:
    if toolset.type in _HERE:
        kind = toolset.type
        return (
            f"{kind} works on the server's machine: in an environment workers run the tools of an {TOOLSET}"
        )
    if toolset.type == "mcp" and (toolset.command or toolset.ref):
        return "the command of an mcp toolset can't run in an environment: give it a remote"
    if worker_tools(toolset) and (toolset.defer or toolset.readonly or toolset.instruction):
        return f"an {TOOLSET} that workers run takes neither defer nor readonly nor instruction"
    return ""
