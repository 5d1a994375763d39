"""The `filesystem` toolset: files and directories below the session's working directory, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from app.agent.tools import file_listing, file_reading, file_search, file_writing
from app.agent.tools.cage import Cage
from app.agent.toolset import Tool
from app.tool_environment import for_commands

_ORDER: Final = (
    "directory_tree",
    "edit_file",
    "list_directory",
    "read_file",
    "read_multiple_files",
    "search_files_content",
    "write_file",
    "create_directory",
    "remove_directory",
)


class FilesystemToolset:
    """Stateless: the directory comes with each call. With `ignore_vcs`, `.git` and what .gitignore names
    are kept out of listings and searches, though not out of reads. `environment` and `cage` are for the
    commands of `post_edit`."""

    instructions = (
        "Paths of the file tools are relative to the working directory, and only what lies below it can be "
        "reached. Read a file before you edit it, and give edits the exact text that is there."
    )

    def __init__(
        self,
        *,
        ignore_vcs: bool = True,
        post_edit: Sequence[file_writing.PostEdit] = (),
        environment: Mapping[str, str] | None = None,
        cage: Cage | None = None,
    ) -> None:
        variables = for_commands(environment or {})
        found = [
            *file_listing.tools(ignore_vcs=ignore_vcs),
            *file_reading.tools(),
            *file_search.tools(ignore_vcs=ignore_vcs),
            *file_writing.tools(environment=variables, post_edit=post_edit, cage=cage),
        ]
        self._tools = sorted(found, key=lambda tool: _ORDER.index(tool.name))

    def tools(self) -> Sequence[Tool]:
        return self._tools

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def state(self) -> Any:
        return None
