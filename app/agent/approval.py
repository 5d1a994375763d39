"""May a tool call run, must a person be asked, or is it refused?"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

from app.agent.toolset import Tool
from app.conversation.safety import DECIDES_BY_ITSELF, SafetyPolicy
from app.conversation.session import Permissions as SessionPermissions
from app.conversation.session import Session
from app.team.permissions import Decision, Permissions, Spellings, decide, is_denied, lexical_spellings

_OF_SESSION: Final = "session permissions"
_OF_TEAM: Final = "permissions configuration"
_SOURCES: Final = {_OF_SESSION: "session_permissions", _OF_TEAM: "team_permissions"}
_RESTRICTED: Final = (
    "Tool '{tool}' is denied: the session's safety policy lets only tools run that only read."
)
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
    the team's patterns, and else the session's safety policy.

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
    policy = conversation.chosen_policy
    for permissions, source in sources:
        decision = decide(permissions, tool.name, arguments, spellings=spellings)
        if decision is None and source == _OF_TEAM:
            decision = tool.policy or None
        if decision == "ask" and source == _OF_TEAM and policy in DECIDES_BY_ITSELF:
            continue
        if decision is not None:
            return _follow(decision, tool, source, attended)
    return _by_policy(policy, tool, attended)


def _by_policy(policy: SafetyPolicy, tool: Tool, attended: bool) -> Verdict:
    source = f"mode_{policy}" if policy else "readonly_hint"
    match policy:
        case "restricted":
            if not _is_safe(tool):
                return Verdict("deny", _RESTRICTED.format(tool=tool.name), source)
            runs = True
        case "balanced":
            runs = _is_safe(tool)
        case "strict":
            runs = False
        case _:
            runs = tool.read_only
    if runs:
        return Verdict("run", source=source)
    return Verdict("ask") if attended else Verdict("run", source="mode_autonomous")


def _is_safe(tool: Tool) -> bool:
    """A tool that says both that it only reads and that it destroys is not believed the first."""
    return tool.read_only and not tool.destructive


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
