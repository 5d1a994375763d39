"""Events of hooks."""

from __future__ import annotations

from dataclasses import dataclass

from app.conversation.events import Event, Json


@dataclass(frozen=True, slots=True, kw_only=True)
class HookBlocked(Event):
    type = "hook_blocked"
    tool_call: Json
    tool_definition: Json
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HookStarted(Event):
    """Hooks run at this point now."""

    type = "hook_started"
    session_id: str
    hook_event: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HookFinished(Event):
    """`message` is the reason of hooks that did not allow what follows."""

    type = "hook_finished"
    optional = frozenset({"error", "message"})
    session_id: str
    hook_event: str
    duration_ms: int
    allowed: bool
    error: str = ""
    message: str = ""
