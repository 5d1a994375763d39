"""The checks of `baton doctor` on this machine, with the environment that a server would get."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import requests

from app.errors import StoreUnavailable
from app.selfcheck import allow_open_files, checks, what_is_caged
from app.selfcheck.cage_check import SANDBOX
from app.selfcheck.database_check import DATABASE
from app.selfcheck.finding import Finding
from app.selfcheck.own_files import database_path
from app.selfcheck.system_check import what_is_weaker
from app.setting_fields import InvalidSettings
from app.settings import Settings
from app.store.engine import Database
from app.store.migrate import NEWEST, is_newer, revision
from app.team.team_directory import check_files

MODEL_URL: Final = "https://api.anthropic.com"
MODEL_SECONDS: Final = 10.0
SLOW_SECONDS: Final = 2.0


def check_machine(environment: Mapping[str, str]) -> Iterator[Finding]:
    """The findings that a server would log at its start, and those that it would not: one for each thing that is in
    order."""
    try:
        settings = Settings.from_environment(environment)
    except InvalidSettings as error:
        yield Finding("failed", "settings", str(error), "correct the variable")
        return
    yield Finding(
        "ok",
        "settings",
        f"{_workers(settings.workers)} with {settings.all_threads} threads at {settings.bind}",
    )
    yield from what_is_weaker()
    allow_open_files(settings)  # as a server does
    found = checks(settings)
    yield from found
    if not any(one.subject == SANDBOX for one in found):
        yield Finding("ok", "sandbox", what_is_caged(settings))
    if not any(one.state == "failed" and one.subject == DATABASE for one in found):
        yield _database(settings)
    yield from _agents(settings)
    yield _model(settings)


def _described(files: Sequence[Path], settings: Settings) -> str:
    if settings.stand_in_agents is not None:
        return f"Baton's own: {', '.join(file.stem for file in files)}"
    return "1 file" if len(files) == 1 else f"{len(files)} files"


def _workers(number: int) -> str:
    return "1 worker" if number == 1 else f"{number} workers"


def _database(settings: Settings) -> Finding:
    """Without making one: a missing SQLite file is said to be missing."""
    path = database_path(settings)
    if path is not None and not path.exists():
        advice = "the first start makes it, or `baton db upgrade`"
        return Finding("warning", "database", f"{path} is not there yet", advice)
    begun = time.monotonic()
    try:
        with closing(Database(settings.database_url)) as database:
            has, size = revision(database), database.size()
    except StoreUnavailable as error:
        problem = f"it can't be used: {error.__cause__ or error}"
        return Finding("failed", "database", problem, f"see {DATABASE}")
    milliseconds = (time.monotonic() - begun) * 1000
    if has != NEWEST and not is_newer(has):  # a newer schema is among the checks
        problem = f"its schema is {has}, the newest is {NEWEST}"
        return Finding("warning", "database", problem, "run `baton db upgrade`")
    return Finding("ok", "database", f"schema {has}, {size:,} bytes, answers in {milliseconds:.0f} ms")


def _agents(settings: Settings) -> Iterator[Finding]:
    """The contents of the agent files; whether there are any is among the checks."""
    files, problems = check_files(settings.stand_in_agents or settings.agents)
    for problem in problems:
        advice = "the server leaves this file out until it is corrected"
        yield Finding("failed", "agents", str(problem), advice)
    if files and not problems:
        yield Finding("ok", "agents", _described(files, settings))


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
