"""Whether tools' commands can run in a cage here, and what is in it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from app.agent.tools.cage import Cage, caged
from app.agent.tools.processes import Command
from app.roots import OwnFiles
from app.selfcheck.finding import Finding
from app.selfcheck.own_files import own_files
from app.settings import Settings

PROBE_SECONDS: Final = 30.0

SANDBOX: Final = "BATON_SANDBOX"
_SEE: Final = "see docs/security.md, In a cage, or set BATON_SANDBOX=off"
_REASONS: Final = (
    ("No such file", "it is not installed", "install the package bubblewrap, or set BATON_SANDBOX=off"),
    ("Unknown option", "it is too old", "install bubblewrap 0.8 or newer, or set BATON_SANDBOX=off"),
    ("mount proc", "parts of this service's or container's /proc are covered", _SEE),
    ("namespace", "user name spaces are not allowed here", _SEE),
    ("uid map", "AppArmor or the like restricts user name spaces", _SEE),
    ("loopback", "its network can't be set up", _SEE),
    ("slave", "a filter of system calls allows no mounts", _SEE),
)
"""Messages of bubblewrap, their meaning, and the remedy."""


def cage_of(settings: Settings) -> Cage | None:
    """None if commands run uncaged."""
    if settings.sandbox == "off":
        return None
    return Cage.find(hidden=OwnFiles.of(own_files(settings)).paths, readable=settings.sandbox_readable)


def check_cage(settings: Settings) -> list[Finding]:
    cage = cage_of(settings)
    if cage is not None and not sys.platform.startswith("linux"):
        remedy = "set BATON_SANDBOX=off, and see docs/security.md for what contains commands"
        return [Finding("failed", SANDBOX, "only Linux has bubblewrap, and so a cage", remedy)]
    said = why_not(cage) if cage is not None else ""
    if not said:
        return []
    found = ((why, remedy) for word, why, remedy in _REASONS if word in said)
    why, remedy = next(found, ("it does not start", _SEE))
    return [Finding("failed", SANDBOX, f"bubblewrap can't be used: {why} ({said})", remedy)]


def why_not(cage: Cage) -> str:
    """Tries a command that does nothing, with and without a network. Empty if that works."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name).resolve()
        for network in (False, True):
            command = Command(["/bin/sh", "-c", ":"], directory, {"PATH": "/usr/bin:/bin"})
            try:
                started = caged(command, cage.allowing(network=network), directory)
                subprocess.run(
                    started.arguments,
                    cwd=directory,
                    env=dict(started.environment),
                    stdin=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    timeout=PROBE_SECONDS,
                    check=True,
                )
            except subprocess.CalledProcessError as error:
                lines = error.stderr.decode(errors="replace").strip().splitlines()
                return lines[-1] if lines else f"exit status {error.returncode}"
            except (OSError, subprocess.TimeoutExpired) as error:
                return str(error)
    return ""


def what_is_caged(settings: Settings) -> str:
    """Says what is caged and what is not, for the log of a start."""
    if settings.sandbox == "off":
        return "commands of tools and hooks run as the server's user, without a cage (BATON_SANDBOX=off)"
    return (
        "commands of tools, hooks and stdio tool servers run in a cage (bubblewrap), without a network unless the "
        "agent's file says so; file tools, fetch, api, openapi and remote tool servers work in the server's own process"
    )
