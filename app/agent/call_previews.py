"""The preview of a call that would change a file, and whether the file has changed since it was shown."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final

from app.agent.preview import Preview
from app.agent.readers_view import ReadersView
from app.agent.toolset import Tool, ToolContext, ToolResult

log = logging.getLogger(__name__)

READING: Final = {"read_file": "path", "read": "file_path"}
"""The tools that read a file, each with its argument for the path."""
_HIDDEN: Final = "the agent may not read this file, so its content is not shown"


class CallPreviews:
    """Belongs to one agent's calls. `may_read` says of a path whether the agent may read that file."""

    def __init__(self, view: ReadersView, tool_context: ToolContext, may_read: Callable[[str], bool]) -> None:
        self._view = view
        self._tool_context = tool_context
        self._may_read = may_read

    def of(self, tool: Tool, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """As JSON, without secrets where the agent's results have none; empty for a tool that changes no files."""
        preview = self._made(tool, arguments)
        if preview is None:
            return {}
        if preview.diff and not self._may_read(preview.path):
            hidden = Preview(preview.path, preview.change, problem=_HIDDEN, digest=preview.digest)
            return asdict(hidden)
        return {**asdict(preview), "diff": self._masked(tool, preview.diff)}

    def outdated(self, tool: Tool, arguments: Mapping[str, Any], shown: Mapping[str, Any]) -> str:
        """Why the call must not be made as it was approved, in words for the model; empty if nothing speaks against
        it. `shown` is what was shown to the person."""
        if shown.get("digest") is None:
            return ""
        now = self._made(tool, arguments)
        if now is None or now.path != shown.get("path") or now.digest == shown["digest"]:
            return ""
        return (
            f"{now.path} has changed since the user was shown what this call would do to it, so the call was not "
            "made. Look at the file again before you repeat it."
        )

    def _made(self, tool: Tool, arguments: Mapping[str, Any]) -> Preview | None:
        """None also if it can't be made: the question is asked all the same."""
        if tool.preview is None:
            return None
        try:
            return tool.preview(arguments, self._tool_context)
        except Exception:
            log.exception("no preview of a call of %s", tool.name)
            return None

    def _masked(self, tool: Tool, text: str) -> str:
        for name in (tool.name, *READING):
            text = self._view.of_result(name, ToolResult(text)).output
        return text
