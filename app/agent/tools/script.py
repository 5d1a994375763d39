"""The `script` toolset: shell commands that the agent's author wrote, each offered as a tool."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from app.agent.tools.cage import Cage, caged
from app.agent.tools.output_limit import cut, readable
from app.agent.tools.processes import Command, exit_words, left_words, run
from app.agent.tools.shell import MAX_SECONDS, duration, stopped_words
from app.agent.tools.toolset_bases import PlainToolset
from app.agent.toolset import Tool, ToolCancelled, ToolContext, ToolFailed, ToolResult
from app.tool_environment import for_commands

_USED: Final = re.compile(r"\$(?:\{([A-Za-z_]\w*)|([A-Za-z_]\w*))")
_SET: Final = re.compile(r"\b([A-Za-z_]\w*)=|\b(?:for|read)\s+([A-Za-z_]\w*)")


class InvalidScript(Exception):
    """A tool whose command and arguments don't fit together, in words for the agent's author."""


class ScriptTool(Protocol):
    """One tool: a command, and the arguments that it finds in its environment."""

    @property
    def cmd(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def args(self) -> Mapping[str, Any]: ...
    @property
    def required(self) -> Sequence[str] | None: ...
    @property
    def env(self) -> Mapping[str, str]: ...
    @property
    def working_dir(self) -> str: ...


class ScriptToolset(PlainToolset):
    """`environment` is the server's own, `env` the toolset's, and a tool's own comes before both. `timeout` is in
    seconds; 0 is the most that a command may take.

    Raises InvalidScript.
    """

    def __init__(
        self,
        scripts: Mapping[str, ScriptTool],
        *,
        environment: Mapping[str, str],
        env: Mapping[str, str] | None = None,
        timeout: int = 0,
        cage: Cage | None = None,
    ) -> None:
        self._tools = []
        seconds = min(timeout or MAX_SECONDS, MAX_SECONDS)
        for name, script in scripts.items():
            variables = for_commands(environment, {**(env or {}), **script.env})
            _check(name, script, variables)
            self._tools.append(_tool(name, script, variables, seconds, cage))

    def tools(self) -> Sequence[Tool]:
        return self._tools


def _check(name: str, script: ScriptTool, variables: Mapping[str, str]) -> None:
    """A variable must be an argument, be in the environment, or be set by the command itself."""
    known = {*script.args, *variables, *_names(_SET, script.cmd)}
    unknown = [used for used in dict.fromkeys(_names(_USED, script.cmd)) if used not in known]
    if unknown:
        raise InvalidScript(f"tool '{name}' uses undefined args: [{' '.join(unknown)}]")
    for required in script.required or ():
        if required not in script.args:
            raise InvalidScript(f"tool '{name}' has required arg '{required}' which is not defined in args")


def _names(pattern: re.Pattern[str], cmd: str) -> list[str]:
    return [match[1] or match[2] for match in pattern.finditer(cmd)]


def _tool(
    name: str, script: ScriptTool, variables: Mapping[str, str], seconds: int, cage: Cage | None
) -> Tool:
    def handler(arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        for name in script.required or ():
            if arguments.get(name) is None:
                raise ToolFailed(f"{name} is missing")
        given = {key: _text(arguments[key]) for key in script.args if arguments.get(key) is not None}
        shell = variables.get("SHELL") or "/bin/sh"
        folder = Path(context.working_dir, script.working_dir)
        command = Command([shell, "-c", script.cmd], folder, {**variables, **given})
        try:
            command = caged(command, cage, context.working_dir)
            ended = run(command, timeout=seconds, cancellation=context.cancellation, live=context.output)
        except (OSError, ValueError) as error:
            return ToolResult.error(f"Error executing command '{script.cmd}': {error}\nOutput: ")
        left = f"\n[{left_words(ended.left)}]" if ended.left else ""
        output = cut(readable(ended.output)) + left
        if ended.cancelled:
            raise ToolCancelled(stopped_words(output))
        problem = f"timed out after {duration(seconds)}" if ended.status is None else exit_words(ended.status)
        if problem:
            return ToolResult.error(f"Error executing command '{script.cmd}': {problem}\nOutput: {output}")
        return ToolResult(output)

    return Tool(
        name=name,
        category="",
        description=script.description or f"Execute shell command: {script.cmd}",
        parameters=_parameters(script),
        judges_itself=True,  # a variable takes any value, as text
        handler=handler,
    )


def _parameters(script: ScriptTool) -> dict[str, Any]:
    properties = {
        name: {"type": "string", **described} if isinstance(described, Mapping) else {"type": "string"}
        for name, described in script.args.items()
    }
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if script.required:
        schema["required"] = list(script.required)
    return schema


def _text(value: Any) -> str:
    """An argument as a command reads it: text as it is, anything else as JSON."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    words = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return words.replace("\0", "")
