"""Tools that the model gets only when it asks for them, so that they cost nothing until then."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from app.agent.tools.parameters import parameters, text
from app.agent.toolset import Tool, ToolContext, ToolResult, Toolset, prepare, string


class Shelf:
    """The deferred tools of an agent. Tools that were taken from it stay taken in the session's later runs."""

    def __init__(self, *, state: Any = None) -> None:
        names = state if isinstance(state, list) else []
        self.taken = {name for name in names if isinstance(name, str)}
        self.tools: dict[str, Tool] = {}


class Shelved:
    """A toolset of which some or all tools lie on the shelf."""

    def __init__(self, inner: Toolset, shelf: Shelf, deferred: Literal[True] | Sequence[str]) -> None:
        self._inner = inner
        self._shelf = shelf
        self._deferred = deferred
        self.label = str(getattr(inner, "label", ""))

    @property
    def instructions(self) -> str:
        return self._inner.instructions

    def tools(self) -> Sequence[Tool]:
        listed = []
        for tool in self._inner.tools():
            if self._deferred is True or tool.name in self._deferred:
                self._shelf.tools[tool.name] = tool
                if tool.name not in self._shelf.taken:
                    continue
            listed.append(tool)
        return listed

    def prepare(self) -> None:
        prepare(self._inner)

    def start(self) -> None:
        self._inner.start()

    def stop(self) -> None:
        self._inner.stop()

    def state(self) -> Any:
        return self._inner.state()


class DeferredToolset:
    """The two tools that lead to the shelf."""

    instructions = (
        "Not all of your tools are listed. When none of the listed ones fits, look for another with search_tool, "
        "and make it available with add_tool."
    )

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def tools(self) -> Sequence[Tool]:
        return [
            Tool(
                name="search_tool",
                title="Search Tool",
                category="deferred",
                description="Finds tools that are not listed, by a word of their name or description.",
                parameters=parameters({"query": text("What to look for")}),
                read_only=True,
                in_order=True,
                handler=self._search,
            ),
            Tool(
                name="add_tool",
                title="Add Tool",
                category="deferred",
                description="Makes a tool available that search_tool has found.",
                parameters=parameters({"name": text("The name of the tool")}),
                read_only=True,
                in_order=True,
                handler=self._add,
            ),
        ]

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def state(self) -> Any:
        return sorted(self._shelf.taken) or None

    def _search(self, arguments: Mapping[str, Any], _context: ToolContext) -> ToolResult:
        query = string(arguments, "query")
        found = [
            {"name": tool.name, "description": tool.description}
            for tool in self._shelf.tools.values()
            if query.lower() in f"{tool.name}\n{tool.description}".lower()
        ]
        if not found:
            return ToolResult.error(f"No deferred tools found matching '{query}'")
        listed = json.dumps(found, ensure_ascii=False, indent=2)
        return ToolResult(f"Found {len(found)} deferred tool(s):\n{listed}")

    def _add(self, arguments: Mapping[str, Any], _context: ToolContext) -> ToolResult:
        name = string(arguments, "name")
        tool = self._shelf.tools.get(name)
        if tool is None:
            return ToolResult.error(f"Tool '{name}' not found.")
        if name in self._shelf.taken:
            return ToolResult(f"Tool '{name}' is already active")
        self._shelf.taken.add(name)
        words = f"Tool '{name}' has been activated and is now available for use."
        return ToolResult(f"{words}\n\nDescription: {tool.description}")
