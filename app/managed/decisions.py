"""Decisions of clients of the Managed Agents API on calls, as answers to the questions of runs."""

from __future__ import annotations

from typing import Final

from app.conversation.managed_events import BLOCKS
from app.conversation.run import Answer
from app.store.told_events import Told

RESOLVED: Final = "resolved_content"
"""Of an event's body: its content with what files hold that it names. Clients are not told it."""


def answer_of(decided: Told, tool: str, *, by: str = "") -> Answer:
    """An answer to the run's question about a call of the tool, from the event by which a client has decided on it."""
    body = decided.body
    if decided.type == "user.custom_tool_result":
        said = {
            BLOCKS: body.get(RESOLVED) or body.get("content") or [],
            "is_error": body.get("is_error") is True,
        }
        return Answer("accept", content=said, by=by)
    if body["result"] == "allow":
        return Answer("approve", by=by)
    reason = body.get("deny_message") or ""
    words = f"Permission to use {tool} has been rejected."
    return Answer("reject", by=by).refusing(f"{words} Rejection message: {reason}" if reason else words)
