"""Settings that make sense one by one, and let in whom nobody invited."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from app.distribution import install_command
from app.selfcheck.finding import Finding
from app.settings import Settings


def check_exposure(settings: Settings) -> list[Finding]:
    if "*" in settings.allowed_hosts and not settings.asks_for_tokens:
        problem = "any web page that a user of this machine opens can drive the agents"
        return [Finding("BATON_ALLOWED_HOSTS=*", problem, "name the hosts, or set BATON_AUTH_TOKENS")]
    return []


def check_key_in_clear(settings: Settings) -> list[Finding]:
    address = urlsplit(settings.api_base_url)
    host = address.hostname or ""
    if address.scheme != "http" or host in ("localhost", "::1") or host.startswith("127."):
        return []
    problem = f"the key and every conversation go to {host} unencrypted"
    return [Finding("ANTHROPIC_BASE_URL", problem, "use https://")]


def check_user(settings: Settings) -> list[Finding]:
    if os.geteuid() != 0 or settings.is_loopback:
        return []
    problem = "the server runs as root and can be reached from outside: so can a shell as root"
    return [Finding("user", problem, "run it as a user of its own")]


def check_tracing(settings: Settings) -> list[Finding]:
    try:
        installed = find_spec("opentelemetry.exporter.otlp.proto.http") and find_spec("opentelemetry.sdk")
    except ModuleNotFoundError:
        installed = None
    if installed or not settings.traces:
        return []
    remedy = f"{install_command('otel')}, or switch it off"
    return [Finding("BATON_TRACES=on", "OpenTelemetry is not installed", remedy, fatal=True)]


def is_below(path: Path, directory: Path) -> bool:
    return path.resolve().is_relative_to(directory.resolve())
