"""The tools that change files and directories."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Protocol, TypedDict

from app.agent.tools.cage import Cage, caged
from app.agent.tools.file_preview import preview_edit, preview_write
from app.agent.tools.file_reading import rewritten
from app.agent.tools.function_tool import tool
from app.agent.tools.processes import Command, exit_words, run
from app.agent.tools.sandbox import FileRefused, files_of
from app.agent.tools.text_file import EditFailed, TextFile
from app.agent.toolset import ToolCancelled, ToolContext, ToolFailed, ToolResult
from app.conversation.json_text import whole

MAX_EDITED: Final = 10_000_000
_POST_EDIT_SECONDS: Final = 60.0
_STOPPED_AFTER: Final = "The file was written; the command that follows an edit was cancelled with the run."


class PostEdit(Protocol):
    """A command to run after a file whose name matches the glob `path` was written."""

    @property
    def path(self) -> str: ...
    @property
    def cmd(self) -> str: ...


class FileEdit(TypedDict):
    oldText: Annotated[str, "The exact text to replace"]
    newText: Annotated[str, "The text to put in its place"]


@tool()
def create_directory(
    context: ToolContext, paths: Annotated[Sequence[str], "The directories to create"]
) -> ToolResult:
    """Creates directories, with all that lead to them."""
    make = files_of(context).make_directories
    return _each(paths, make, "Directory created successfully", "Error creating directory")


@tool()
def remove_directory(
    context: ToolContext, paths: Annotated[Sequence[str], "The directories to remove"]
) -> ToolResult:
    """Removes directories that are empty."""
    remove = files_of(context).remove_directory
    return _each(paths, remove, "Directory removed successfully", "Error removing directory")


def _each(paths: Sequence[str], work: Callable[[str], object], done: str, failed: str) -> ToolResult:
    """Ends at the first that fails, and says which were done."""
    lines: list[str] = []
    for path in paths:
        try:
            work(path)
        except FileRefused as refusal:
            return ToolResult.error("\n".join([*lines, f"{failed} {path}: {refusal}"]))
        lines.append(f"{done}: {path}")
    return ToolResult("\n".join(lines))


@dataclass(frozen=True, slots=True)
class FileWriting:
    """The tools that write files, with the commands that run after each edit."""

    environment: Mapping[str, str]
    post_edit: Sequence[PostEdit]
    cage: Cage | None

    @tool(title="Edit", takes_description=True, preview=preview_edit)
    def edit_file(
        self,
        context: ToolContext,
        path: Annotated[str, "The file to edit"],
        edits: Annotated[Sequence[FileEdit], "The edits"],
    ) -> ToolResult:
        """Replaces exact pieces of text in a file. The edits are applied in order; each oldText must stand in the file
        exactly once. If one does not fit, the file stays as it was. The file keeps its encoding and its line ends,
        however you write yours."""
        if not edits:
            raise ToolFailed("edits must not be empty")
        replaced = [(whole(edit["oldText"]), whole(edit["newText"])) for edit in edits]
        sandbox = files_of(context)
        try:
            content = sandbox.read(path, MAX_EDITED)
        except FileRefused as refusal:
            return ToolResult.error(f"Error reading file: {refusal}")
        if content.size > MAX_EDITED:
            return ToolResult.error(f"Error reading file: {content.size} bytes are too many to edit")
        file = TextFile.of(content.data)
        for number, (old, new) in enumerate(replaced, 1):
            try:
                file = file.edited(old, new)
            except EditFailed as failure:
                return ToolResult.error(f"Edit {number} failed: {failure}")
        try:
            sandbox.write(path, file.data)
        except FileRefused as refusal:
            return ToolResult.error(f"Error writing file: {refusal}")
        problem = self._after_edit(path, context)
        if problem:
            return ToolResult.error(f"File edited successfully but post-edit command failed: {problem}")
        return ToolResult(_edited([len(old.encode()) for old, _ in replaced]))

    @tool(title="Write", takes_description=True, preview=preview_write)
    def write_file(
        self,
        context: ToolContext,
        path: Annotated[str, "The file to write"],
        content: Annotated[str, "All it shall hold"],
    ) -> ToolResult:
        """Writes a file, with the directories that lead to it. Its former content is lost. Line ends are written as you
        give them."""
        sandbox = files_of(context)
        try:
            sandbox.make_directories(os.path.dirname(path))
        except FileRefused as refusal:
            return ToolResult.error(f"Error creating directory structure: {refusal}")
        try:
            data = rewritten(sandbox, path, whole(content)).data
            sandbox.write(path, data)
        except FileRefused as refusal:
            return ToolResult.error(f"Error writing file: {refusal}")
        problem = self._after_edit(path, context)
        if problem:
            return ToolResult.error(f"File written successfully but post-edit command failed: {problem}")
        return ToolResult(f"File written successfully: {path} ({len(data)} bytes)")

    def _after_edit(self, path: str, context: ToolContext) -> str:
        """Runs the commands for this file; the first one's failure in words, empty if all went well."""
        shown = files_of(context).shown(path)
        for entry in self.post_edit:
            if fnmatch.fnmatchcase(os.path.basename(shown), entry.path):
                command = Command(
                    ["/bin/sh", "-c", entry.cmd], context.working_dir, {**self.environment, "path": shown}
                )
                try:
                    command = caged(command, self.cage, context.working_dir)
                    ended = run(command, timeout=_POST_EDIT_SECONDS, cancellation=context.cancellation)
                except OSError as error:
                    return f"post-edit command failed for {shown}: {error}"
                if ended.cancelled:
                    raise ToolCancelled(_STOPPED_AFTER)
                problem = "timed out" if ended.status is None else exit_words(ended.status)
                if problem:
                    return f"post-edit command failed for {shown}: {problem}"
        return ""


def _edited(lengths: Sequence[int]) -> str:
    if len(lengths) == 1:
        return f"File edited successfully. Replaced {lengths[0]} characters"
    lines = [f"Edit {number}: Replaced {length} characters" for number, length in enumerate(lengths, 1)]
    return "File edited successfully. Changes:\n" + "\n".join(lines)
