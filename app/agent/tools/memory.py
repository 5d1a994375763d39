"""The `memory` toolset: the facts that an agent wants to know again in other sessions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

from app.agent.tools.function_tool import FunctionToolset, tool
from app.agent.tools.memory_file import MemoryEntry, MemoryFailed, MemoryFile
from app.agent.tools.sandbox import Sandbox, files_of
from app.agent.toolset import ToolContext, ToolFailed, ToolResult

MAX_CHARACTERS: Final = 20_000  # of one memory: every listing repeats them all

MemoryId = Annotated[str, "ID of the memory"]
Category = Annotated[str, "What kind of thing it is, such as preference, fact or decision"]


class MemoryToolset(FunctionToolset):
    """`path` is below the session's directory, unless it is absolute; without one `default` is the file."""

    category = "memory"
    instructions = (
        "Memories outlive this conversation. Look through them before you begin, and add what will be of use "
        "later: what the user likes, what was decided, what was hard to find out. Nothing secret."
    )

    def __init__(self, *, default: Path, path: str = "") -> None:
        self._default = default
        self._path = path

    @tool()
    def add_memory(
        self, context: ToolContext, memory: Annotated[str, "What to remember"], category: Category = ""
    ) -> ToolResult:
        """Remembers something."""
        _check(memory)
        with _failing("add memory"):
            added = self._file(context).add(memory, category)
        return ToolResult(f"Memory added successfully with ID: {added}")

    @tool(read_only=True)
    def get_memories(self, context: ToolContext) -> ToolResult:
        """Shows everything that is remembered."""
        with _failing("get memories"):
            return _listed(self._file(context).all())

    @tool()
    def delete_memory(self, context: ToolContext, id: MemoryId) -> ToolResult:
        """Forgets a memory."""
        with _failing("delete memory"):
            self._file(context).delete(id)
        return ToolResult(f"Memory with ID {id} deleted successfully")

    @tool(read_only=True)
    def search_memories(
        self,
        context: ToolContext,
        query: Annotated[str, "Words that all must occur"] = "",
        category: Annotated[str, "Only of this category"] = "",
    ) -> ToolResult:
        """Finds memories by words."""
        with _failing("search memories"):
            return _listed(self._file(context).search(query, category))

    @tool()
    def update_memory(
        self,
        context: ToolContext,
        id: MemoryId,
        memory: Annotated[str, "What to remember"],
        category: Category = "",
    ) -> ToolResult:
        """Replaces a memory. Without a category it has none afterwards."""
        _check(memory)
        with _failing("update memory"):
            self._file(context).update(id, memory, category)
        return ToolResult(f"Memory with ID {id} updated successfully")

    def _file(self, context: ToolContext) -> MemoryFile:
        """The default file is the server's own; a relative path is checked as any file of a session is."""
        path = Path(self._path) if self._path else self._default
        if not path.is_absolute():
            return MemoryFile(files_of(context), self._path)
        return MemoryFile(Sandbox(path.parent), path.name, makes_root=True)


@contextmanager
def _failing(deed: str) -> Iterator[None]:
    try:
        yield
    except MemoryFailed as failure:
        raise ToolFailed(f"failed to {deed}: {failure}") from failure


def _check(memory: str) -> None:
    if len(memory) > MAX_CHARACTERS:
        raise ToolFailed(f"a memory can have at most {MAX_CHARACTERS} characters")


def _listed(memories: Sequence[MemoryEntry]) -> ToolResult:
    """`null` for none, as the contract has it."""
    found = [_shown(memory) for memory in memories]
    return ToolResult(json.dumps(found or None, ensure_ascii=False, separators=(",", ":")))


def _shown(memory: MemoryEntry) -> dict[str, str]:
    shown = {"id": memory.id, "created_at": memory.created_at, "memory": memory.memory}
    return {**shown, "category": memory.category} if memory.category else shown
