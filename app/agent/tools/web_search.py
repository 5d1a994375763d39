"""The tool `web_search`, which the model's API runs itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from app.agent.toolset import Outcome, Tool, ToolContext, ToolFailed
from app.team.web_spec import WebSearchSpec

_TYPE: Final = "web_search_20250305"


def web_search_tool(spec: WebSearchSpec, category: str) -> Tool:
    settings = {
        "allowed_domains": list(spec.allowed_domains),
        "blocked_domains": list(spec.blocked_domains),
        "user_location": spec.user_location,
    }
    given = {name: value for name, value in settings.items() if value}
    return Tool(
        name="web_search",
        title="Web Search",
        category=category,
        description="Searches the web; the model's API does so itself.",
        parameters={"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
        handler=_never,
        served={"type": _TYPE, "name": "web_search", **given},
    )


def _never(_arguments: Mapping[str, Any], _context: ToolContext) -> Outcome:
    raise ToolFailed("the model's API runs web_search itself")
