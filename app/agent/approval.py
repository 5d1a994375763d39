"""May a tool call run, must a person be asked, or is it refused?"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

from app.agent.toolset import Tool
from app.conversation.session import Permissions as SessionPermissions
from app.conversation.session import Session
from app.team.permissions import (
    Decision,
    Permissions,
    Spellings,
    decide,
    is_denied,
    lexical_spellings,
)

_OF_SESSION: Final = "session permissions"
_OF_TEAM: Final = "permissions configuration"
_SOURCES: Final = {_OF_SESSION: "session_permissions", _OF_TEAM: "team_permissions"}
NOBODY: Final = "Tool '{tool}' needs a person's approval, and nobody follows a background agent."


@dataclass(frozen=True, slots=True)
class Verdict:
    outcome: Literal["run", "ask", "deny"]
    words: str = ""  # for the model, if denied
    source: str = field(default="", compare=False)  # what has decided, as hooks are told


def judge(
    tool: Tool,
    arguments: Mapping[str, Any],
    sessions: Sequence[Session],
    team: Permissions,
    *,
    attended: bool = True,
    deny_wins: bool = True,
    working_dir: Path | None = None,
) -> Verdict:
    """The first that says something decides: a denial, the blanket approval of the session, the session's patterns,
    the team's patterns, a tool that only reads, and else a question.

    `sessions` is the session and those above it, up to the conversation: all their denials count, and a blanket
    approval counts as long as the conversation has one too. Without `deny_wins` denials are looked at where the other
    patterns are, so that approvals of the session come before them, as docker-agent has it. The approval of a
    background task, which nobody attends, approves each of its calls that no pattern wants to be asked for.
    """
    session, conversation = sessions[0], sessions[-1]
    spellings = lexical_spellings if working_dir is None else partial(_spellings, working_dir)
    sources = ((_session(session.permissions), _OF_SESSION), (team, _OF_TEAM))
    if deny_wins:
        for permissions, source in (
            *((_session(one.permissions), _OF_SESSION) for one in sessions),
            sources[1],
        ):
            if is_denied(permissions, tool.name, arguments, spellings=spellings):
                return _denied(tool, source)
    if session.tools_approved and conversation.tools_approved:
        return Verdict("run", source="mode_autonomous")
    for permissions, source in sources:
        if decision := decide(permissions, tool.name, arguments, spellings=spellings):
            return _follow(decision, tool, source, attended)
    if tool.read_only or not attended:
        return Verdict("run", source="readonly_hint" if tool.read_only else "mode_autonomous")
    return Verdict("ask")


def _spellings(working_dir: Path, path: str) -> Spellings:
    """The paths of a file below the working directory: as given, without detours, without links, and all that again
    from the root and from the working directory."""
    known = lexical_spellings(path)
    if not path:
        return known
    there = os.path.normpath(os.path.join(working_dir, path))
    try:
        real = os.path.realpath(os.path.join(working_dir, path))
        home = os.path.realpath(working_dir)
    except (OSError, ValueError):
        return known
    inside = [os.path.relpath(one, base) for one, base in ((there, working_dir), (real, home))]
    same = real if os.path.isabs(path) else os.path.relpath(real, home)
    everywhere = (*known.any, there, real, *inside)
    return Spellings(tuple(dict.fromkeys(everywhere)), tuple(dict.fromkeys((*known.every, same))))


def _follow(decision: Decision, tool: Tool, source: str, attended: bool) -> Verdict:
    match decision:
        case "deny":
            return _denied(tool, source)
        case "allow":
            return Verdict("run", source=f"{_SOURCES[source]}_allow")
        case "ask":
            nobody = Verdict("deny", NOBODY.format(tool=tool.name), "non_interactive_deny")
            return Verdict("ask") if attended else nobody


def _denied(tool: Tool, source: str) -> Verdict:
    return Verdict("deny", f"Tool '{tool.name}' is denied by {source}.", f"{_SOURCES[source]}_deny")


def _session(permissions: SessionPermissions | None) -> Permissions:
    """A session's patterns as they are stored. An older version stored patterns that can't be parsed."""
    given = permissions or {}
    return Permissions.model_construct(
        allow=tuple(given.get("allow") or ()),
        ask=tuple(given.get("ask") or ()),
        deny=tuple(given.get("deny") or ()),
    )
