"""The `open_url` toolset: one address that the user is asked to open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from app.agent.tools.toolset_bases import PlainToolset
from app.agent.toolset import Elicitation, Tool, ToolContext, ToolFailed, ToolResult

DEFAULT_NAME: Final = "open_url"


class OpenUrlToolset(PlainToolset):
    """A server has no browser in front of its user, so whoever follows the run is asked to open the address."""

    def __init__(self, url: str, name: str = "") -> None:
        self._url = url
        self._name = name or DEFAULT_NAME

    @property
    def instructions(self) -> str:
        return f"Call {self._name} when the user shall see {self._url} in a browser."

    def tools(self) -> Sequence[Tool]:
        """Raises ToolFailed for what is no address."""
        if not _is_address(self._url):
            raise ToolFailed("the url is not an absolute http or https address")
        return [
            Tool(
                name=self._name,
                title="Open URL",
                category="open_url",
                description=f"Asks the user to open {self._url} in a browser. Takes no arguments.",
                handler=self._open,
                in_order=True,
            )
        ]

    def _open(self, _arguments: Mapping[str, Any], context: ToolContext) -> Elicitation | ToolResult:
        if not context.attended:
            return ToolResult.error(f"failed to open {self._url}: nobody follows this run")
        return Elicitation(f"Open {self._url}", mode="url", url=self._url, then=self._answered)

    def _answered(self, action: str, _content: Mapping[str, Any] | None) -> ToolResult:
        if action != "accept":
            return ToolResult.error(f"failed to open {self._url}: the user chose to {action}")
        return ToolResult(f"Opened {self._url}")


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:  # as for `http://[::1`
        return False
