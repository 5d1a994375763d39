"""Tools that the model gets only when it asks for them, so that they cost nothing until then."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from app.agent.tools.function_tool import FunctionToolset, tool
from app.agent.tools.toolset_bases import WrappedToolset
from app.agent.toolset import Tool, ToolResult, Toolset


class Shelf:
    """The deferred tools of an agent. Tools that were taken from it stay taken in the session's later runs."""

    def __init__(self, *, state: Any = None) -> None:
        names = state if isinstance(state, list) else []
        self.taken = {name for name in names if isinstance(name, str)}
        self.tools: dict[str, Tool] = {}


class Shelved(WrappedToolset):
    """A toolset of which some or all tools lie on the shelf."""

    def __init__(self, inner: Toolset, shelf: Shelf, deferred: Literal[True] | Sequence[str]) -> None:
        super().__init__(inner)
        self._shelf = shelf
        self._deferred = deferred

    def tools(self) -> Sequence[Tool]:
        listed = []
        for one in self._inner.tools():
            if self._deferred is True or one.name in self._deferred:
                self._shelf.tools[one.name] = one
                if one.name not in self._shelf.taken:
                    continue
            listed.append(one)
        return listed


class DeferredToolset(FunctionToolset):
    """The two tools that lead to the shelf."""

    category = "deferred"
    instructions = (
        "Not all of your tools are listed. When none of the listed ones fits, look for another with search_tool, "
        "and make it available with add_tool."
    )

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def state(self) -> Any:
        return sorted(self._shelf.taken) or None

    @tool(read_only=True, in_order=True)
    def search_tool(self, query: Annotated[str, "What to look for"]) -> ToolResult:
        """Finds tools that are not listed, by a word of their name or description."""
        found = [
            {"name": tool.name, "description": tool.description}
            for tool in self._shelf.tools.values()
            if query.lower() in f"{tool.name}\n{tool.description}".lower()
        ]
        if not found:
            return ToolResult.error(f"No deferred tools found matching '{query}'")
        listed = json.dumps(found, ensure_ascii=False, indent=2)
        return ToolResult(f"Found {len(found)} deferred tool(s):\n{listed}")

    @tool(read_only=True, in_order=True)
    def add_tool(self, name: Annotated[str, "The name of the tool"]) -> ToolResult:
        """Makes a tool available that search_tool has found."""
        tool = self._shelf.tools.get(name)
        if tool is None:
            return ToolResult.error(f"Tool '{name}' not found.")
        if name in self._shelf.taken:
            return ToolResult(f"Tool '{name}' is already active")
        self._shelf.taken.add(name)
        words = f"Tool '{name}' has been activated and is now available for use."
        return ToolResult(f"{words}\n\nDescription: {tool.description}")
