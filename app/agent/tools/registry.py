"""Builds toolsets from their definitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from app.agent.tools.api import Api
from app.agent.tools.fetch import Fetch
from app.agent.tools.filesystem import Filesystem
from app.agent.tools.memory import Memory
from app.agent.tools.run_facts import RunFacts
from app.agent.tools.script import InvalidScript, Script
from app.agent.tools.shell import Shell
from app.agent.tools.tasks import TaskList
from app.agent.tools.think import Think
from app.agent.tools.todo import Todo
from app.agent.tools.user_prompt import UserPrompt
from app.agent.toolset import Tool, Toolset
from app.errors import MissingEnvironment
from app.team.expansion import expand_variables
from app.team.toolset import ToolsetSpec

_ORIGINAL: Final = "{ORIGINAL_INSTRUCTIONS}"


class ToolsetUnavailable(Exception):
    """A toolset that can't be built; the message says why, in words for the user."""


def key(spec: ToolsetSpec, index: int) -> str:
    """Names the toolset, the `index`-th of its agent, in warnings and in the session's stored states."""
    return f"{spec.type}#{index}"


def build(
    spec: ToolsetSpec, *, environment: Mapping[str, str], state: Any = None, run: RunFacts | None = None
) -> Toolset:
    """A toolset for one run. `environment` is the server's own; `state` is what the toolset left in the
    session's run before. Raises ToolsetUnavailable."""
    toolset = _plain(spec, environment, state, run or RunFacts())
    if not spec.tools and not spec.instruction:
        return toolset
    return Tailored(toolset, keep=spec.tools, instruction=spec.instruction)


def _plain(spec: ToolsetSpec, environment: Mapping[str, str], state: Any, run: RunFacts) -> Toolset:
    match spec.type:
        case "filesystem":
            hides = spec.ignore_vcs is not False  # unless said otherwise
            return Filesystem(ignore_vcs=hides, post_edit=spec.post_edit, environment=environment)
        case "shell":
            return Shell(environment=environment, env=_expanded(spec.env, environment))
        case "script":
            return _script(spec, environment)
        case "fetch":
            return Fetch(timeout=spec.timeout or None)
        case "tasks":
            return TaskList(path=spec.path)
        case "memory":
            return Memory(default=_memory_file(environment, run), path=spec.path)
        case "api":
            return Api(spec.api_config, fill_in=run.fill_in)
        case "think":
            return Think(state=state)
        case "todo":
            return Todo(state=state)
        case "user_prompt":
            return UserPrompt()
        case _ if spec.is_known:
            raise ToolsetUnavailable(f"toolset type {spec.type} is not supported by this server")
        case _:
            raise ToolsetUnavailable(f"unknown toolset type: {spec.type}")


def _script(spec: ToolsetSpec, environment: Mapping[str, str]) -> Script:
    env = _expanded(spec.env, environment)
    scripts = {
        name: script.with_(env=_expanded(script.env, environment)) for name, script in spec.shell.items()
    }
    try:
        return Script(scripts, environment=environment, env=env)
    except InvalidScript as problem:
        raise ToolsetUnavailable(str(problem)) from problem


def _memory_file(environment: Mapping[str, str], run: RunFacts) -> Path:
    """One for each agent file, and for each owner, whose memories are nobody else's business."""
    folder = f"{run.team}@{run.owner}" if run.owner else run.team
    return Path(environment.get("HOME") or Path.home(), ".baton", "memory", folder, "memory.db")


def _expanded(env: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    try:
        return {name: expand_variables(value, environment) for name, value in env.items()}
    except MissingEnvironment as missing:
        raise ToolsetUnavailable(str(missing)) from missing


class Tailored:
    """A toolset of which only some tools are kept, or whose instructions an agent's author wrote."""

    def __init__(self, inner: Toolset, *, keep: Sequence[str], instruction: str) -> None:
        self._inner = inner
        self._keep = frozenset(keep)
        self.instructions = inner.instructions
        if instruction:
            self.instructions = instruction.replace(_ORIGINAL, inner.instructions, 1)

    def tools(self) -> Sequence[Tool]:
        return [tool for tool in self._inner.tools() if not self._keep or tool.name in self._keep]

    def start(self) -> None:
        self._inner.start()

    def stop(self) -> None:
        self._inner.stop()

    def state(self) -> Any:
        return self._inner.state()
