"""May a tool call run, must somebody be asked, or is it refused?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from app.agent.toolset import Tool
from app.conversation.session import Permissions as SessionPermissions
from app.conversation.session import Session
from app.team.permissions import Permissions, decide

_NOBODY: Final = "Tool '{tool}' needs a person's approval, and nobody follows a background agent."


@dataclass(frozen=True, slots=True)
class Verdict:
    outcome: Literal["run", "ask", "deny"]
    words: str = ""  # for the model, if denied


def judge(
    tool: Tool, arguments: Mapping[str, Any], session: Session, team: Permissions, *, attended: bool = True
) -> Verdict:
    """The contract's order, first match wins: the session's blanket approval, the session's patterns, the
    team's patterns, a tool that only reads, and else a question. Who approved that a task is done in the background,
    `attended` by nobody, approved what no pattern wants to be asked for."""
    if session.tools_approved:
        return Verdict("run")
    for permissions, source in (
        (_session(session.permissions), "session permissions"),
        (team, "permissions configuration"),
    ):
        match decide(permissions, tool.name, arguments):
            case "deny":
                return Verdict("deny", f"Tool '{tool.name}' is denied by {source}.")
            case "allow":
                return Verdict("run")
            case "ask":
                return Verdict("ask") if attended else Verdict("deny", _NOBODY.format(tool=tool.name))
    return Verdict("run" if tool.read_only or not attended else "ask")


def _session(permissions: SessionPermissions | None) -> Permissions:
    """A session's patterns come unchecked from a client; one that is no pattern matches nothing."""
    given = permissions or {}
    return Permissions.model_construct(
        allow=tuple(given.get("allow") or ()),
        ask=tuple(given.get("ask") or ()),
        deny=tuple(given.get("deny") or ()),
    )
