"""Builds toolsets from their definitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from app.agent.tool_normalizing import offered_name
from app.agent.tools import agent_toolset
from app.agent.tools.agent_toolset import AgentToolset
from app.agent.tools.background_agents import BackgroundAgentsToolset
from app.agent.tools.cage import Cage
from app.agent.tools.environment import EnvironmentToolset
from app.agent.tools.filesystem import FilesystemToolset
from app.agent.tools.git import GitToolset
from app.agent.tools.job_tools import BackgroundJobsToolset
from app.agent.tools.lazy_toolset import on_demand
from app.agent.tools.mcp.mcp_toolset import McpToolset
from app.agent.tools.mcp.server_address import SSE, STREAMABLE, ServerAddress
from app.agent.tools.mcp.tool_servers import ToolServers
from app.agent.tools.memory import MemoryToolset
from app.agent.tools.model_picker import ModelPickerToolset
from app.agent.tools.open_url import OpenUrlToolset
from app.agent.tools.plan import PlanToolset
from app.agent.tools.run_facts import RunFacts
from app.agent.tools.script import InvalidScript, ScriptToolset
from app.agent.tools.session_context import SessionContextToolset
from app.agent.tools.shell import ShellToolset
from app.agent.tools.tasks import TasksToolset
from app.agent.tools.think import ThinkToolset
from app.agent.tools.todo import TodoToolset
from app.agent.tools.toolset_bases import WrappedToolset
from app.agent.tools.user_prompt import UserPromptToolset
from app.agent.tools.web_search import web_search_tool
from app.agent.toolset import Tool, Toolset
from app.errors import MissingEnvironment
from app.team.expansion import expand_variables
from app.team.toolset_spec import ToolsetSpec
from app.team.web_spec import WebFetchSpec, WebSearchSpec
from app.tool_environment import for_commands

_FILE_TOOLS: Final = ("read_file", "write_file", "edit_file")
_NOT_BUILT: Final = {
    "a2a": ": it speaks to no agents of other servers",
    "lsp": ": it has no language servers",
    "mcp_catalog": ": it has no catalogue of tool servers; name each as a toolset of type mcp",
    "rag": ": it has no models for searches",
    "scheduler": ": when a run has ended, nothing here wakes its agent",
}
_ORIGINAL: Final = "{ORIGINAL_INSTRUCTIONS}"


class ToolsetUnavailable(Exception):
    """A toolset that can't be built; the message says why, in words for the user."""


def key(spec: ToolsetSpec, index: int, agent: str) -> str:
    """Names the toolset, the `index`-th of the agent, in warnings and in the session's stored states. A toolset that
    agents share has one name, and so has the one plan of a session."""
    return f"shared/{spec.type}" if spec.shared or spec.type == "plan" else f"{agent}/{spec.type}#{index}"


def build(
    spec: ToolsetSpec,
    *,
    environment: Mapping[str, str],
    state: Any = None,
    run: RunFacts | None = None,
    servers: ToolServers | None = None,
    cage: Cage | None = None,
) -> Toolset:
    """A toolset for one run. `environment` is the server's
    own; `state` is what the toolset left in the session's run before; `servers` are the process's tool servers;
    `cage` is where its commands run. Raises ToolsetUnavailable."""
    run = run or RunFacts()
    own_cage = cage.allowing(network=spec.network) if cage is not None else None
    toolset = (
        _mcp(spec, environment, run, servers, own_cage)
        if spec.type == "mcp"
        else _plain(spec, environment, state, run, own_cage)
    )
    if not spec.tools and not spec.instruction and not spec.model and not spec.readonly:
        return toolset
    named = [*spec.tools, *(f"{spec.name}_{tool}" for tool in spec.tools if spec.name)]
    keep = [*named, *map(offered_name, named)]  # by their own names, or by those that the model is told
    return Tailored(
        toolset, keep=keep, instruction=spec.instruction, model=spec.model, readonly=spec.readonly
    )


def _plain(
    spec: ToolsetSpec, environment: Mapping[str, str], state: Any, run: RunFacts, cage: Cage | None
) -> Toolset:
    match spec.type:
        case "file":
            plain = spec.with_(type="filesystem", tools=(), instruction="")
            return Tailored(
                _plain(plain, environment, state, run, cage), keep=_FILE_TOOLS, instruction=spec.instruction
            )
        case "agent_toolset":
            return _agent_toolset(spec, environment, state, run, cage)
        case "background_jobs":
            return BackgroundJobsToolset(
                environment=environment, env=_expanded(spec.env, environment), cage=cage
            )
        case "environment":
            return EnvironmentToolset(environment)
        case "git":
            return GitToolset(environment=environment, cage=cage)
        case "plan":
            return PlanToolset(state=state)
        case "session_context":
            return SessionContextToolset(run.sessions)
        case "open_url":
            return OpenUrlToolset(spec.url, spec.name)
        case "webhook":
            return on_demand("webhook", "WebhookToolset")(spec.webhook_config, timeout=spec.timeout)
        case "filesystem":
            hides = spec.ignore_vcs is not False  # unless said otherwise
            return FilesystemToolset(
                ignore_vcs=hides, post_edit=spec.post_edit, environment=environment, cage=cage
            )
        case "shell":
            return ShellToolset(environment=environment, env=_expanded(spec.env, environment), cage=cage)
        case "script":
            return _script(spec, environment, cage)
        case "fetch":
            return on_demand("fetch", "FetchToolset")(
                timeout=spec.timeout or None,
                headers=run.fill_in(spec.headers),
                allow_private=bool(spec.allow_private_ips),
                allowed_domains=spec.allowed_domains,
                blocked_domains=spec.blocked_domains,
            )
        case "tasks":
            return TasksToolset(path=spec.path)
        case "memory":
            return MemoryToolset(default=_memory_file(environment, run), path=spec.path)
        case "api":
            return on_demand("api", "ApiToolset")(
                spec.api_config,
                fill_in=run.fill_in,
                timeout=spec.timeout,
                allow_private=spec.allow_private_ips,
            )
        case "openapi":
            openapi = on_demand("openapi", "OpenApiToolset")
            return openapi(
                spec.url,
                headers=spec.headers,
                fill_in=run.fill_in,
                cancellation=run.cancellation,
                origins=spec.origins,
                timeout=spec.timeout,
                allow_private=spec.allow_private_ips,
            )
        case "think":
            return ThinkToolset(state=state)
        case "todo":
            return _todo(state, run) if spec.shared else TodoToolset(state=state)
        case "user_prompt":
            return UserPromptToolset()
        case "model_picker":
            return ModelPickerToolset(spec.models, find=run.models, under=run.model, state=state)
        case "background_agents":
            return BackgroundAgentsToolset(run.colleagues, run.work, starts=run.delegates)
        case _ if spec.is_known:
            why = _NOT_BUILT.get(spec.type, "")
            raise ToolsetUnavailable(f"toolset type {spec.type} is not supported by this server{why}")
        case _:
            raise ToolsetUnavailable(f"unknown toolset type: {spec.type}")


def _agent_toolset(
    spec: ToolsetSpec, environment: Mapping[str, str], state: Any, run: RunFacts, cage: Cage | None
) -> AgentToolset:
    names = spec.tools or agent_toolset.NAMES
    web: list[Tool] = []
    if "web_fetch" in names:
        web += on_demand("web_fetch", "WebFetchToolset")(spec.web_fetch or WebFetchSpec()).tools()
    if "web_search" in names:
        web.append(web_search_tool(spec.web_search or WebSearchSpec(), agent_toolset.CATEGORY))
    if cage is not None:
        cage = cage.keeping(run.copies.read_only)
    return AgentToolset(names, environment=environment, cage=cage, state=state, web=web, copies=run.copies)


def _script(spec: ToolsetSpec, environment: Mapping[str, str], cage: Cage | None) -> ScriptToolset:
    env = _expanded(spec.env, environment)
    scripts = {
        name: script.with_(env=_expanded(script.env, environment)) for name, script in spec.shell.items()
    }
    try:
        return ScriptToolset(scripts, environment=environment, env=env, timeout=spec.timeout, cage=cage)
    except InvalidScript as problem:
        raise ToolsetUnavailable(str(problem)) from problem


def _todo(state: Any, run: RunFacts) -> TodoToolset:
    """The one list of all agents of a run, as it was stored last."""
    todo: TodoToolset = run.shared.setdefault("todo", TodoToolset())
    if state is not None:
        todo.restore(state)
    return todo


def _mcp(
    spec: ToolsetSpec,
    environment: Mapping[str, str],
    run: RunFacts,
    servers: ToolServers | None,
    cage: Cage | None,
) -> McpToolset:
    if servers is None:
        raise ToolsetUnavailable("there are no tool servers here")
    if spec.command:
        address = ServerAddress.of_command(
            spec.command,
            spec.args,
            environment=for_commands(environment, _expanded(spec.env, environment)),
            working_dir=_directory(spec, run),
            owner=run.owner,
            cage=cage,
            lifecycle=spec.lifecycle,
        )
    elif spec.remote.url:
        transport = spec.remote.transport_type
        if transport not in (SSE, *STREAMABLE):
            raise ToolsetUnavailable(f"unsupported transport type: {transport}")
        headers = run.fill_in(spec.remote.headers)
        address = ServerAddress.of_url(
            spec.remote.url,
            transport,
            headers=headers,
            owner=run.owner,
            origins=spec.origins,
            lifecycle=spec.lifecycle,
        )
    else:
        raise ToolsetUnavailable(f"servers of a catalogue ({spec.ref}) are not supported by this server")
    return McpToolset(servers, address, name=spec.name, cancellation=run.cancellation)


def _directory(spec: ToolsetSpec, run: RunFacts) -> str:
    """The directory that a tool server is started in: no other than a session may work in."""
    if not spec.working_dir:
        return str(run.working_dir)
    directory = Path(run.working_dir, spec.working_dir).resolve()
    if run.ground.roots and not run.ground.allows(directory):
        raise ToolsetUnavailable(
            f"working_dir {spec.working_dir} is outside the directories where sessions may work"
        )
    return str(directory)


def _memory_file(environment: Mapping[str, str], run: RunFacts) -> Path:
    """One for each agent file, and for each owner, whose memories are nobody else's business."""
    folder = f"{run.team}@{run.owner}" if run.owner else run.team
    return Path(environment.get("HOME") or Path.home(), ".baton", "memory", folder, "memory.db")


def _expanded(env: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    try:
        return {name: expand_variables(value, environment) for name, value in env.items()}
    except MissingEnvironment as missing:
        raise ToolsetUnavailable(str(missing)) from missing


class Tailored(WrappedToolset):
    """A toolset of which only some tools are kept, by name or since they only read; or whose instructions an agent's
    author wrote; or whose results are shown to a model of their own."""

    def __init__(
        self,
        inner: Toolset,
        *,
        keep: Sequence[str],
        instruction: str,
        model: str = "",
        readonly: bool = False,
    ) -> None:
        super().__init__(inner)
        self._readonly = readonly
        self._model = model
        self._keep = frozenset(keep)
        self._instruction = instruction

    @property
    def instructions(self) -> str:
        if not self._instruction:
            return super().instructions
        return self._instruction.replace(_ORIGINAL, self._inner.instructions, 1)

    def tools(self) -> Sequence[Tool]:
        kept = [tool for tool in self._inner.tools() if not self._keep or tool.name in self._keep]
        kept = [tool for tool in kept if tool.read_only or not self._readonly]
        return [replace(tool, model=self._model) for tool in kept] if self._model else kept
