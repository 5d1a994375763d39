"""Settings that make sense one by one, and let in whom nobody invited."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from app.distribution import install_command
from app.selfcheck.finding import Finding
from app.selfcheck.own_files import database_path
from app.settings import Settings
from app.team.team import Team
from app.team.team_directory import TeamDirectory

_SECRETS: Final = ("BATON_AUTH_TOKENS", "ANTHROPIC_API_KEY", "BATON_DATABASE_URL")


def check_exposure(settings: Settings) -> list[Finding]:
    if "*" in settings.allowed_hosts and not settings.asks_for_tokens:
        problem = "any web page that a user of this machine opens can drive the agents"
        return [
            Finding("warning", "BATON_ALLOWED_HOSTS=*", problem, "name the hosts, or set BATON_AUTH_TOKENS")
        ]
    return []


def check_key_in_clear(settings: Settings) -> list[Finding]:
    address = urlsplit(settings.api_base_url)
    host = address.hostname or ""
    if address.scheme != "http" or host in ("localhost", "::1") or host.startswith("127."):
        return []
    problem = f"the key and every conversation go to {host} unencrypted"
    return [Finding("warning", "ANTHROPIC_BASE_URL", problem, "use https://")]


def check_user(settings: Settings) -> list[Finding]:
    if os.geteuid() != 0 or settings.is_loopback:
        return []
    problem = "the server runs as root and can be reached from outside: so can a shell as root"
    return [Finding("warning", "user", problem, "run it as a user of its own")]


def check_shell(settings: Settings) -> list[Finding]:
    """Behind a proxy too: the danger is that several people use the server, not where it listens."""
    if not settings.asks_for_tokens or settings.sandbox != "off":
        return []
    teams = TeamDirectory(settings.agents, settings.environment, instead=settings.stand_in_agents)
    found = [name for name in (summary.name for summary in teams.list()) if _runs_commands(teams.get(name))]
    if not found:
        return []
    problem = (
        f"a command of agent {found[0]} runs as the server's user: whoever may talk to it can read the database, "
        "and every other session's files"
    )
    return [Finding("warning", "shell", problem, "docs/security.md says what contains commands")]


def check_modes(settings: Settings) -> list[Finding]:
    path = database_path(settings)
    if path is None or not path.exists() or not path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return []
    problem = f"other users of this machine can open {path}"
    return [Finding("warning", "BATON_DATABASE_URL", problem, f"chmod 600 {path}, if that is not meant")]


def _runs_commands(team: Team) -> bool:
    return any(
        spec.type in ("shell", "script") or (spec.type == "mcp" and spec.command)
        for agent in team.agents
        for spec in agent.toolsets
    )


def check_starters(settings: Settings) -> list[Finding]:
    """A process that started the server, and is still there, may show what the server hides."""
    given = {name: value for name in _SECRETS if (value := settings.environment.get(name))}
    if not settings.asks_for_tokens or not given:
        return []
    findings = []
    for pid in _ancestors():
        entries = _environment(pid)
        if shown := [name for name, value in given.items() if os.fsencode(f"{name}={value}") in entries]:
            problem = f"{' and '.join(shown)} can be read by commands of tools in /proc/{pid}/environ"
            remedy = "let the command that starts the server begin with exec"
            findings.append(Finding("warning", f"process {pid}", problem, remedy))
    return findings


def _ancestors() -> Iterator[int]:
    pid = os.getppid()
    while pid > 0:
        yield pid
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[1])
        except OSError:
            return


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []  # it is closed to commands too, or there is no such place


def check_tracing(settings: Settings) -> list[Finding]:
    try:
        installed = find_spec("opentelemetry.exporter.otlp.proto.http") and find_spec("opentelemetry.sdk")
    except ModuleNotFoundError:
        installed = None
    if installed or not settings.traces:
        return []
    remedy = f"{install_command('otel')}, or switch it off"
    return [Finding("failed", "BATON_TRACES=on", "OpenTelemetry is not installed", remedy)]
