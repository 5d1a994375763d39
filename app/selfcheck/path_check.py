"""Files and directories: there, readable, writable, and not in each other's way."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from app.roots import above_name, covers
from app.selfcheck.finding import Finding
from app.selfcheck.own_files import database_path
from app.settings import Settings


def check_agents(settings: Settings) -> list[Finding]:
    agents = settings.agents
    if not agents.exists():
        problem = f"there is no directory {agents}: Baton's own agent answers"
        return [Finding("warning", "BATON_AGENTS", problem, "`baton init` makes an agent file")]
    if not os.access(agents, os.R_OK):
        return [Finding("failed", "BATON_AGENTS", f"{agents} can't be read", "let this user read it")]
    if agents.is_dir() and not any(path.suffix in (".yaml", ".yml") for path in agents.iterdir()):
        remedy = "put one there, or name another directory"
        return [Finding("warning", "BATON_AGENTS", f"there is no agent file in {agents}", remedy)]
    return []


def check_roots(settings: Settings) -> list[Finding]:
    return [finding for root in settings.all_roots for finding in _check_root(root, settings)]


def _check_root(root: Path, settings: Settings) -> list[Finding]:
    findings = []
    home = Path(settings.environment.get("HOME") or Path.home())
    if settings.asks_for_tokens and covers(root, home):
        problem = f"HOME={home} lies below {root}: prompt files and skills there are read for no session"
        findings.append(
            Finding("warning", "BATON_ROOTS", problem, "give the server a home directory of its own")
        )
    root = above_name(root)
    if why := why_not_writable(root):
        remedy = "let this user write there, or name another directory"
        findings.append(
            Finding("warning", "BATON_ROOTS", f"agents can't make files below {root} ({why})", remedy)
        )
    if settings.is_loopback and not settings.asks_for_tokens:
        return findings  # on one's own machine the server's own directory is a convenient root
    if (path := database_path(settings)) is not None and _is_below(path, root):
        problem = f"the database {path} lies below {root}, where agents read and write"
        findings.append(Finding("warning", "BATON_ROOTS", problem, "keep them apart"))
    if _is_below(settings.agents, root):
        problem = f"the agent files in {settings.agents} lie below {root}, where agents read and write"
        findings.append(Finding("warning", "BATON_ROOTS", problem, "keep them apart"))
    return findings


def why_not_writable(directory: Path) -> str:
    """In a few words, empty if a file could be made there. Tries it, since rights alone do not tell."""
    try:
        with tempfile.TemporaryFile(dir=directory):
            return ""
    except OSError as error:
        return (error.strerror or str(error)).lower()


def _is_below(path: Path, directory: Path) -> bool:
    return path.resolve().is_relative_to(directory.resolve())
