"""The tool `web_fetch`, in the words of Anthropic's own."""

from __future__ import annotations

from typing import Annotated, Final

from app.agent.tools.fetch import FetchToolset
from app.agent.tools.function_tool import FunctionToolset, tool
from app.agent.tools.output_limit import readable
from app.agent.toolset import ToolContext, ToolFailed, ToolResult
from app.team.web_spec import WebFetchSpec

_BYTES_PER_TOKEN: Final = 4


class WebFetchToolset(FunctionToolset):
    """Stateless. Reaches the public internet only."""

    category = "agent_toolset"

    def __init__(self, spec: WebFetchSpec) -> None:
        self._pages = FetchToolset(allowed_domains=spec.allowed_domains, blocked_domains=spec.blocked_domains)
        self._most = spec.max_content_tokens * _BYTES_PER_TOKEN

    @tool(title="Web Fetch")
    def web_fetch(
        self, context: ToolContext, url: Annotated[str, "The address of the page, http or https"]
    ) -> ToolResult:
        """Fetches a page from the web and returns it as text. Keeps to the site's robots.txt."""
        try:
            text = self._pages.text_of(url, context.cancellation)
        except ToolFailed as failure:
            words = str(failure)
            code = "url_not_allowed" if words.startswith("URL blocked") else "url_not_accessible"
            return ToolResult.error(f"{code}: {words}")
        data = text.encode("utf-8", "replace")
        if 0 < self._most < len(data):
            return ToolResult(f"{readable(data[: self._most])}\n\n[content truncated]")
        return ToolResult(text)
