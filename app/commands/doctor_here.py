"""What `baton doctor` looks at on this machine, with the environment that a server would get."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Final

import requests

from app.commands.check import check
from app.commands.findings import Finding
from app.errors import StoreUnavailable
from app.settings import InvalidSettings, Settings
from app.store.engine import Database
from app.store.migrate import NEWEST, revision

MODEL_URL: Final = "https://api.anthropic.com"
MODEL_SECONDS: Final = 10.0
SLOW_SECONDS: Final = 2.0


def look() -> Iterator[Finding]:
    try:
        settings = Settings.from_environment(os.environ)
    except InvalidSettings as error:
        yield Finding("failed", "settings", str(error), "correct the variable")
        return
    yield Finding(
        "ok", "settings", f"{settings.workers} workers of {settings.all_threads} threads at {settings.bind}"
    )
    yield from _roots(settings)
    yield _database(settings)
    yield from _agents(settings)
    yield _model(settings)


def _roots(settings: Settings) -> Iterator[Finding]:
    for root in settings.all_roots:
        if not os.access(root, os.R_OK | os.W_OK | os.X_OK):
            yield Finding("warning", "roots", f"{root} can't be written to", "sessions can only read there")


def _database(settings: Settings) -> Finding:
    """Without making one: a missing SQLite file is said to be missing."""
    kind, _, path = settings.database_url.partition(":///")
    if kind == "sqlite" and not os.path.exists(path.partition("?")[0]):
        return Finding(
            "warning",
            "database",
            f"{path} is not there yet",
            "the first start makes it, or `baton db upgrade`",
        )
    try:
        database = Database(settings.database_url)
        try:
            begun = time.monotonic()
            has = revision(database)
            milliseconds = (time.monotonic() - begun) * 1000
            size = database.size()
        finally:
            database.close()
    except StoreUnavailable as error:
        return Finding(
            "failed", "database", f"it can't be used: {error.__cause__ or error}", "see BATON_DATABASE_URL"
        )
    if has != NEWEST:
        return Finding(
            "warning", "database", f"its schema is {has}, the newest is {NEWEST}", "run `baton db upgrade`"
        )
    return Finding("ok", "database", f"schema {has}, {size:,} bytes, answers in {milliseconds:.0f} ms")


def _agents(settings: Settings) -> Iterator[Finding]:
    if not settings.agents.exists():
        yield Finding("failed", "agents", f"{settings.agents} is not there", "set BATON_AGENTS")
        return
    files, problems = check(settings.agents)
    for problem in problems:
        yield Finding(
            "failed", "agents", str(problem), "the server leaves this file out until it is corrected"
        )
    if not files:
        yield Finding("failed", "agents", f"there are no agent files in {settings.agents}", "write one")
    elif not problems:
        yield Finding("ok", "agents", f"{len(files)} files")


def _model(settings: Settings) -> Finding:
    """Lists models: that costs nothing, and needs the key."""
    if not settings.api_key:
        return Finding(
            "warning", "model", "there is no key: a stand-in would answer", "set ANTHROPIC_API_KEY"
        )
    base = (settings.api_base_url or MODEL_URL).rstrip("/")
    headers = {"x-api-key": settings.api_key, "anthropic-version": "2023-06-01"}
    begun = time.monotonic()
    try:
        response = requests.get(f"{base}/v1/models?limit=1", headers=headers, timeout=MODEL_SECONDS)
    except requests.RequestException as error:
        return Finding(
            "failed", "model", f"{base} can't be reached: {type(error).__name__}", "see network and proxy"
        )
    seconds = time.monotonic() - begun
    if response.status_code in (401, 403):
        return Finding(
            "failed", "model", f"{base} refuses the key ({response.status_code})", "see ANTHROPIC_API_KEY"
        )
    if response.status_code >= 500:
        return Finding("warning", "model", f"{base} answers {response.status_code}", "try again later")
    took = f"{base} answers in {seconds * 1000:.0f} ms"
    if seconds > SLOW_SECONDS:
        return Finding("warning", "model", took, "each model call takes that much longer")
    return Finding("ok", "model", took)
