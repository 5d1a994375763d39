"""The `agent_toolset` toolset: the tools that Anthropic calls agent_toolset_20260401."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from app.agent.tools.agent_files import edit, read, write
from app.agent.tools.agent_search import glob, grep
from app.agent.tools.bash import Bash
from app.agent.tools.cage import Cage
from app.agent.tools.function_tool import function_tool
from app.agent.tools.toolset_bases import PlainToolset
from app.agent.tools.working_copies import NO_COPIES, WorkingCopies
from app.agent.toolset import Outcome, Tool, ToolContext, ToolResult
from app.team.client_tool import ClientTool

CATEGORY: Final = "agent_toolset"
NAMES: Final = ("bash", "read", "write", "edit", "glob", "grep", "web_fetch", "web_search")
_FILES: Final[Mapping[str, Callable[..., Outcome]]] = {
    "read": read,
    "write": write,
    "edit": edit,
    "glob": glob,
    "grep": grep,
}


def declared(names: Sequence[str]) -> tuple[ClientTool, ...]:
    """The tools of these names that work on files and commands, for workers that run them."""
    local = {"bash": Bash.bash, **_FILES}
    tools = [function_tool(one, CATEGORY) for name, one in local.items() if name in names]
    return tuple(
        ClientTool(one.name, one.description, one.parameters or {}, by_worker=True, read_only=one.read_only)
        for one in tools
    )


class AgentToolset(PlainToolset):
    """`names` are its tools. The shell goes on between calls; the file tools reach what is below the working directory,
    and nothing else. `web` are tools for the web, which come from elsewhere; `copies` is what in the directory is kept
    elsewhere: it is brought up to date at the start, and settled after each call that may have changed it."""

    def __init__(
        self,
        names: Sequence[str],
        *,
        environment: Mapping[str, str],
        cage: Cage | None = None,
        state: Any = None,
        web: Sequence[Tool] = (),
        copies: WorkingCopies = NO_COPIES,
    ) -> None:
        self._copies = copies
        self._bash = Bash(environment=environment, cage=cage, state=state)
        local = {"bash": self._bash.bash, **_FILES}
        own = [function_tool(one, CATEGORY) for name, one in local.items() if name in names]
        self._tools = [one if one.read_only else self._settling(one) for one in own]
        self._tools += [one for one in web if one.name in names]

    def tools(self) -> Sequence[Tool]:
        return self._tools

    def start(self) -> None:
        self._copies.open()

    def stop(self) -> None:
        self._bash.stop()
        self._copies.settle()

    def state(self) -> Any:
        return self._bash.state()

    def _settling(self, one: Tool) -> Tool:
        """The same tool, whose results say what could not be taken over of what it has changed."""

        def handle(arguments: Mapping[str, Any], context: ToolContext) -> Outcome:
            result = one.handler(arguments, context)
            words = self._copies.settle()
            if not words or not isinstance(result, ToolResult):
                return result
            return replace(result, output=f"{result.output}\n{words}" if result.output else words)

        return replace(one, handler=handle)
