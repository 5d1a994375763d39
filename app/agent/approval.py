"""May a tool call run, must somebody be asked, or is it refused?"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

from app.agent.toolset import Tool
from app.conversation.session import Permissions as SessionPermissions
from app.conversation.session import Session
from app.team.permissions import Permissions, Spellings, decide, lexical_spellings

_NOBODY: Final = "Tool '{tool}' needs a person's approval, and nobody follows a background agent."


@dataclass(frozen=True, slots=True)
class Verdict:
    outcome: Literal["run", "ask", "deny"]
    words: str = ""  # for the model, if denied


def judge(
    tool: Tool,
    arguments: Mapping[str, Any],
    session: Session,
    team: Permissions,
    *,
    attended: bool = True,
    working_dir: Path | None = None,
) -> Verdict:
    """The contract's order, first match wins: the session's blanket approval, the session's patterns, the
    team's patterns, a tool that only reads, and else a question. Who approved that a task is done in the background,
    `attended` by nobody, approved what no pattern wants to be asked for."""
    if session.tools_approved:
        return Verdict("run")
    spellings = lexical_spellings if working_dir is None else partial(_spellings, working_dir)
    for permissions, source in (
        (_session(session.permissions), "session permissions"),
        (team, "permissions configuration"),
    ):
        match decide(permissions, tool.name, arguments, spellings=spellings):
            case "deny":
                return Verdict("deny", f"Tool '{tool.name}' is denied by {source}.")
            case "allow":
                return Verdict("run")
            case "ask":
                return Verdict("ask") if attended else Verdict("deny", _NOBODY.format(tool=tool.name))
    return Verdict("run" if tool.read_only or not attended else "ask")


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


def _session(permissions: SessionPermissions | None) -> Permissions:
    """A session's patterns come unchecked from a client; one that is no pattern matches nothing."""
    given = permissions or {}
    return Permissions.model_construct(
        allow=tuple(given.get("allow") or ()),
        ask=tuple(given.get("ask") or ()),
        deny=tuple(given.get("deny") or ()),
    )
