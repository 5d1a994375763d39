"""The `memory` toolset: the facts that an agent wants to know again in other sessions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from app.agent.tools.memory_file import MemoryEntry, MemoryFailed, MemoryFile
from app.agent.tools.parameters import Schema, parameters, text
from app.agent.tools.sandbox import Sandbox, files_of
from app.agent.toolset import Handler, Tool, ToolContext, ToolFailed, ToolResult, string

MAX_CHARACTERS: Final = 20_000  # of one memory: every listing repeats them all

_ID: Final = text("ID of the memory")
_MEMORY: Final = text("What to remember")
_CATEGORY: Final = text("What kind of thing it is, such as preference, fact or decision")


class MemoryToolset:
    """`path` is below the session's directory, unless it is absolute; without one `default` is the file."""

    instructions = (
        "Memories outlive this conversation. Look through them before you begin, and add what will be of use "
        "later: what the user likes, what was decided, what was hard to find out. Nothing secret."
    )

    def __init__(self, *, default: Path, path: str = "") -> None:
        self._default = default
        self._path = path

    def tools(self) -> Sequence[Tool]:
        new = parameters({"memory": _MEMORY, "category": _CATEGORY}, optional=["category"])
        changed = parameters({"id": _ID, "memory": _MEMORY, "category": _CATEGORY}, optional=["category"])
        sought = parameters(
            {"query": text("Words that all must occur"), "category": text("Only of this category")},
            optional=["query", "category"],
        )
        one = parameters({"id": _ID})
        return [
            _tool("add_memory", "Remembers something.", new, self._add),
            _tool("get_memories", "Shows everything that is remembered.", None, self._all, read_only=True),
            _tool("delete_memory", "Forgets a memory.", one, self._delete),
            _tool("search_memories", "Finds memories by words.", sought, self._search, read_only=True),
            _tool(
                "update_memory",
                "Replaces a memory. Without a category it has none afterwards.",
                changed,
                self._update,
            ),
        ]

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def state(self) -> Any:
        return None

    def _add(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        memory, category = _given(arguments)
        try:
            added = self._file(context).add(memory, category)
        except MemoryFailed as failure:
            raise ToolFailed(f"failed to add memory: {failure}") from failure
        return ToolResult(f"Memory added successfully with ID: {added}")

    def _all(self, _arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        try:
            return _listed(self._file(context).all())
        except MemoryFailed as failure:
            raise ToolFailed(f"failed to get memories: {failure}") from failure

    def _search(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        try:
            found = self._file(context).search(string(arguments, "query"), string(arguments, "category"))
        except MemoryFailed as failure:
            raise ToolFailed(f"failed to search memories: {failure}") from failure
        return _listed(found)

    def _update(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        memory_id, (memory, category) = string(arguments, "id"), _given(arguments)
        try:
            self._file(context).update(memory_id, memory, category)
        except MemoryFailed as failure:
            raise ToolFailed(f"failed to update memory: {failure}") from failure
        return ToolResult(f"Memory with ID {memory_id} updated successfully")

    def _delete(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        memory_id = string(arguments, "id")
        try:
            self._file(context).delete(memory_id)
        except MemoryFailed as failure:
            raise ToolFailed(f"failed to delete memory: {failure}") from failure
        return ToolResult(f"Memory with ID {memory_id} deleted successfully")

    def _file(self, context: ToolContext) -> MemoryFile:
        """The default file is the server's own; a relative path is checked as any file of a session is."""
        path = Path(self._path) if self._path else self._default
        if not path.is_absolute():
            return MemoryFile(files_of(context), self._path)
        return MemoryFile(Sandbox(path.parent), path.name, makes_root=True)


def _tool(
    name: str, description: str, takes: Schema | None, handler: Handler, *, read_only: bool = False
) -> Tool:
    return Tool(
        name=name,
        title=name.replace("_", " ").title(),
        category="memory",
        description=description,
        parameters=takes,
        read_only=read_only,
        handler=handler,
    )


def _given(arguments: Mapping[str, Any]) -> tuple[str, str]:
    memory = string(arguments, "memory")
    if len(memory) > MAX_CHARACTERS:
        raise ToolFailed(f"a memory can have at most {MAX_CHARACTERS} characters")
    return memory, string(arguments, "category")


def _listed(memories: Sequence[MemoryEntry]) -> ToolResult:
    """`null` for none, as the contract has it."""
    found = [_shown(memory) for memory in memories]
    return ToolResult(json.dumps(found or None, ensure_ascii=False, separators=(",", ":")))


def _shown(memory: MemoryEntry) -> dict[str, str]:
    shown = {"id": memory.id, "created_at": memory.created_at, "memory": memory.memory}
    return {**shown, "category": memory.category} if memory.category else shown
