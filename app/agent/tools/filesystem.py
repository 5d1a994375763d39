"""The `filesystem` toolset: files and directories below the session's working directory, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.agent.tools.cage import Cage
from app.agent.tools.file_listing import FileListing
from app.agent.tools.file_reading import read_file, read_multiple_files
from app.agent.tools.file_search import FileSearch
from app.agent.tools.file_writing import FileWriting, PostEdit, create_directory, remove_directory
from app.agent.tools.function_tool import FunctionToolset, function_tool
from app.agent.toolset import Tool
from app.tool_environment import for_commands


class FilesystemToolset(FunctionToolset):
    """Stateless: the directory comes with each call. With `ignore_vcs`, `.git` and what .gitignore names
    are kept out of listings and searches, though not out of reads. `environment` and `cage` are for the
    commands of `post_edit`."""

    category = "filesystem"
    instructions = (
        "Paths of the file tools are relative to the working directory, and only what lies below it can be "
        "reached. Read a file before you edit it, and give edits the exact text that is there."
    )

    def __init__(
        self,
        *,
        ignore_vcs: bool = True,
        post_edit: Sequence[PostEdit] = (),
        environment: Mapping[str, str] | None = None,
        cage: Cage | None = None,
    ) -> None:
        listing, search = FileListing(ignore_vcs), FileSearch(ignore_vcs)
        writing = FileWriting(for_commands(environment or {}), post_edit, cage)
        found = (
            listing.directory_tree,
            writing.edit_file,
            listing.list_directory,
            read_file,
            read_multiple_files,
            search.search_files_content,
            writing.write_file,
            create_directory,
            remove_directory,
        )
        self._tools = [function_tool(one, self.category) for one in found]

    def tools(self) -> Sequence[Tool]:
        return self._tools
