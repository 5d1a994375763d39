"""Requests to authorization servers and MCP servers that are made for a vault. What makes them takes a while to import,
and is imported with the first of them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from app.agent.tools.run_facts import NeverCancelled

if TYPE_CHECKING:
    from app.agent.tools.configured_http import HttpAnswer

MAX_ANSWER: Final = 1 << 16


def post(
    url: str, body: bytes, *, headers: Mapping[str, str], seconds: float, public_only: bool
) -> HttpAnswer | None:
    """The answer, whatever its status; None if there is none. No redirect is followed. `public_only`: private addresses
    are refused."""
    http: Any = import_module("app.agent.tools.configured_http")
    try:
        answer: HttpAnswer = http.send(
            "POST",
            url,
            headers=headers,
            body=body,
            cancellation=NeverCancelled(),
            limit=MAX_ANSWER,
            seconds=seconds,
            public_only=public_only,
        )
    except http.RequestFailed:
        return None
    return answer
