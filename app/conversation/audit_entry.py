"""The audit trail: who did what to which session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Action = Literal[
    "create",
    "fork",
    "archive",
    "delete",
    "export",
    "run",
    "retry",
    "compact",
    "pause",
    "steer",
    "followup",
    "edit_queued",
    "withdraw_queued",
    "add_message",
    "edit_message",
    "summarize",
    "undo",
    "approve",
    "reject",
    "answer",
    "cancel",
    "release",
    "rename",
    "star",
    "tokens",
    "permissions",
    "safety_policy",
    "toggle_tools",
    "toggle_thinking",
    "model",
    "thinking_level",
    "delegation",
    "budget",
    "todo",
    "restart_toolset",
    "refused",
]


@dataclass(frozen=True, slots=True)
class Requester:
    """The caller of a request, as the trail names it."""

    who: str
    role: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line of it. `who` is a token's name, or an address where the server asks for none; `refused` is what
    somebody tried without the right to."""

    action: Action
    session_id: str
    who: str
    role: str = ""
    run_id: str = ""
    detail: str = ""
    request_id: str = ""
    id: int = 0  # rises with every entry, once stored
    at: float = 0.0  # seconds since the epoch, by the database's clock
