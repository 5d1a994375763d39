"""The `environment` toolset: which system and which shell commands run in."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from pathlib import PurePath
from typing import Annotated, Final, TypedDict

from app.agent.tools.function_tool import FunctionToolset, schema_of, tool
from app.agent.toolset import ToolResult
from app.tool_environment import for_commands

_NAMES: Final = {"Darwin": "macOS"}


class _Info(TypedDict):
    os: Annotated[str, "The operating system"]
    shell: Annotated[str, "The shell's name"]


class EnvironmentToolset(FunctionToolset):
    """`environment` is the server's own; nothing of it is shown but the name of the shell."""

    category = "environment"
    instructions = "Call get_environment_info when you have to know which shell runs your commands."

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._shell = for_commands(environment).get("SHELL") or "/bin/sh"

    @tool(title="Environment Info", read_only=True, takes_description=True, output_schema=schema_of(_Info))
    def get_environment_info(self) -> ToolResult:
        """Says which operating system and which shell run the commands of the shell tool."""
        system = platform.system()
        info = {"os": _NAMES.get(system, system), "shell": PurePath(self._shell).name}
        return ToolResult(json.dumps(info, separators=(",", ":")))
