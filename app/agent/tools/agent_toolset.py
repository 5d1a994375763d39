"""The `agent_toolset` toolset: the tools that Anthropic calls agent_toolset_20260401."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from app.agent.tools.agent_files import edit, read, write
from app.agent.tools.agent_search import glob, grep
from app.agent.tools.bash import Bash
from app.agent.tools.cage import Cage
from app.agent.tools.function_tool import function_tool
from app.agent.tools.toolset_bases import PlainToolset
from app.agent.toolset import Outcome, Tool

CATEGORY: Final = "agent_toolset"
NAMES: Final = ("bash", "read", "write", "edit", "glob", "grep", "web_fetch", "web_search")
_FILES: Final[Mapping[str, Callable[..., Outcome]]] = {
    "read": read,
    "write": write,
    "edit": edit,
    "glob": glob,
    "grep": grep,
}


class AgentToolset(PlainToolset):
    """`names` are its tools. The shell goes on between calls; the file tools reach what is below the working directory,
    and nothing else. `web` are tools for the web, which come from elsewhere."""

    def __init__(
        self,
        names: Sequence[str],
        *,
        environment: Mapping[str, str],
        cage: Cage | None = None,
        state: Any = None,
        web: Sequence[Tool] = (),
    ) -> None:
        self._bash = Bash(environment=environment, cage=cage, state=state)
        local = {"bash": self._bash.bash, **_FILES}
        self._tools = [function_tool(one, CATEGORY) for name, one in local.items() if name in names]
        self._tools += [one for one in web if one.name in names]

    def tools(self) -> Sequence[Tool]:
        return self._tools

    def stop(self) -> None:
        self._bash.stop()

    def state(self) -> Any:
        return self._bash.state()
