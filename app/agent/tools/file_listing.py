"""The tools that show what directories hold."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Any, Final

from app.agent.model_client import Cancellation
from app.agent.tools.function_tool import tool
from app.agent.tools.gitignore import Ignored
from app.agent.tools.sandbox import Entry, FileRefused, Sandbox, files_of, visible
from app.agent.toolset import CANCELLED, ToolCancelled, ToolContext, ToolResult

MAX_ENTRIES: Final = 100

_TREE_OUTPUT: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "description": "Name of the file or directory"},
        "type": {"type": "string", "description": "file or directory"},
        "children": {"type": "array", "description": "What the directory holds", "items": {"$ref": "#"}},
    },
    "required": ["name", "type"],
    "additionalProperties": False,
}

Hides = Callable[[str, bool], bool]


def hiding(context: ToolContext, ignore_vcs: bool) -> Hides:
    """Which paths version control keeps out of sight; none, unless asked to."""
    if not ignore_vcs:
        return lambda _path, _is_directory: False
    return Ignored(files_of(context), top=context.ground.top(context.working_dir)).hides


def below(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


@dataclass(frozen=True, slots=True)
class FileListing:
    """The tools that list, without what version control ignores if `ignore_vcs` says so."""

    ignore_vcs: bool

    @tool(read_only=True, output_schema=_TREE_OUTPUT)
    def directory_tree(
        self, context: ToolContext, path: Annotated[str, "The directory to show", {"default": "."}] = ""
    ) -> ToolResult:
        """Shows a directory and everything below it as a JSON tree, cut after 100 nodes."""
        sandbox = files_of(context)
        tree = _Tree(sandbox, hiding(context, self.ignore_vcs), context.cancellation)
        try:
            root = tree.grow(path)
        except FileRefused as refusal:
            return ToolResult.error(f"Error building directory tree: {refusal}")
        output = json.dumps(root, ensure_ascii=False, separators=(",", ":"))
        meta = {"fileCount": tree.files, "dirCount": tree.directories, "truncated": tree.truncated}
        return ToolResult(output, meta=meta)

    @tool(read_only=True, takes_description=True)
    def list_directory(
        self, context: ToolContext, path: Annotated[str, "The directory to list", {"default": "."}] = ""
    ) -> ToolResult:
        """Lists the files and directories that lie directly in a directory, at most 100."""
        sandbox = files_of(context)
        try:
            path, entries = sandbox.entries(path)
        except FileRefused as refusal:
            return ToolResult.error(f"Error reading directory: {refusal}")
        hides = hiding(context, self.ignore_vcs)
        seen = (entry for entry in entries if not hides(below(path, entry.name), entry.is_directory))
        return _listed(list(islice(seen, MAX_ENTRIES + 1)))


def _listed(entries: Sequence[Entry]) -> ToolResult:
    shown = entries[:MAX_ENTRIES]
    truncated = len(entries) > MAX_ENTRIES
    lines = [f"{'DIR ' if entry.is_directory else 'FILE'} {visible(entry.name)}\n" for entry in shown]
    if truncated:
        lines.append("...output truncated due to file limit...\n")
    files = [visible(entry.name) for entry in shown if not entry.is_directory]
    directories = [visible(entry.name) for entry in shown if entry.is_directory]
    meta = {"files": files or None, "dirs": directories or None, "truncated": truncated}
    return ToolResult("".join(lines), meta=meta)


class _Tree:
    """Grows one tree, depth first, until it has enough nodes. Links are leaves."""

    def __init__(self, sandbox: Sandbox, hides: Hides, cancellation: Cancellation) -> None:
        self.files = 0
        self.directories = 0
        self.truncated = False
        self._sandbox = sandbox
        self._hides = hides
        self._cancellation = cancellation

    def grow(self, path: str) -> dict[str, Any]:
        """The node of a directory that must be readable, with all below it."""
        if self._cancellation.is_set():
            raise ToolCancelled(CANCELLED)
        real, entries = self._sandbox.entries(path)
        self.directories += 1
        node: dict[str, Any] = {"name": self._name(real), "type": "directory"}
        children = self._children(real, entries)
        return node | {"children": children} if children else node

    def _children(self, path: str, entries: Sequence[Entry]) -> list[dict[str, Any]]:
        children = []
        for entry in entries:
            inner = below(path, entry.name)
            if self._hides(inner, entry.is_directory):
                continue
            if self.files + self.directories >= MAX_ENTRIES:
                self.truncated = True
                break
            children.append(self._branch(inner) if entry.is_directory else self._leaf(inner))
        return children

    def _branch(self, path: str) -> dict[str, Any]:
        try:
            return self.grow(path)
        except FileRefused:  # one unreadable directory does not hide the rest
            self.directories += 1
            return {"name": self._name(path), "type": "directory"}

    def _leaf(self, path: str) -> dict[str, Any]:
        self.files += 1
        return {"name": self._name(path), "type": "file"}

    def _name(self, path: str) -> str:
        return visible(path.rpartition("/")[2]) or self._sandbox.root.name
