"""Every time that is stored, or compared between processes, is the database's: a host's clock decides nothing."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import Double, select

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from app.store.engine import Database
from app.store.tables import metadata
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient
from tests.harness.process import ROOT, BatonProcess
from tests.upgrades.filling import AGENTS, SETTINGS, fill

HOUR: Final = 3600.0

HOST_CLOCK: Final = re.compile(
    r"\btime\.(time|time_ns|ctime|gmtime|localtime|strftime)\b|\bdatetime\.(now|utcnow|today)\b|\bdate\.today\b"
)
ALLOWED: Final = {
    "app/agent/anthropic/anthropic_model.py": "a Retry-After that is a date, by the clock of the model's API",
    "app/agent/tools/configured_http.py": "a Retry-After that is a date, by the clock of who sent it",
    "app/agent/tools/background_jobs.py": "a part of a job's name",
    "app/agent/tools/memory_file.py": "shown to the model",
    "app/agent/tools/tasks.py": "shown to the model",
    "app/commands/terminal_output.py": "shown to a person",
    "app/commands/runs.py": "shown to a person",
    "app/logs.py": "shown in logs",
    "app/event_encoder.py": "shown to readers of events; their order is their numbers'",
    "app/runtime/environment_info.py": "the date that the model is told",
    "app/web/batches.py": "shown in an export",
    "app/web/owners.py": "shown in an export",
    "app/managed/vaults/validation.py": "shown to who asked",
    "app/managed/webhooks.py": "the time of a signature, which the receiver judges by its own clock",
}
"""Where a host's clock is asked, and why it decides nothing there."""

NO_TIMES: Final = {
    *("sessions.cost", "sessions.budget", "messages.cost", "summaries.cost", "spending.cost"),
    "runs.worked_seconds",
    "scheduled_jobs.due_at",  # ahead by the job's period
}
TOLERANCE: Final = 600.0
"""Seconds that the filling, a lease and an allowance can take together; a host's hour is far more."""


def test_a_host_s_clock_is_asked_only_where_it_decides_nothing() -> None:
    asking = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "app").rglob("*.py")
        if HOST_CLOCK.search(path.read_text())
    }
    assert asking == ALLOWED.keys()


def test_no_stored_time_comes_from_a_host_s_clock(
    database_url: str, tmp_path: Path, model: OfflineServer
) -> None:
    """A server whose host is an hour behind fills every table."""
    clock = tmp_path / "clock"
    clock.mkdir()
    (clock / "sitecustomize.py").write_text(
        f"import time\ntrue = time.time\ntime.time = lambda: true() - {HOUR}\n"
    )
    started: list[BatonProcess] = []

    def start() -> BatonProcess:
        process = BatonProcess(
            tmp_path,
            model_url=model.url,
            agents=AGENTS,
            database_url=database_url,
            settings={**SETTINGS, "PYTHONPATH": f"{clock}:{ROOT}"},
            cold=True,
        )
        started.append(process)
        return process.start()

    try:
        fill(start, tmp_path)
    finally:
        for process in started:
            process.kill()
    assert times_that_are_off(database_url) == set()


def times_that_are_off(url: str) -> set[str]:
    """The columns that have a time far from the database's own."""
    database = Database(url)
    try:
        now = database.now()
        with database.reading() as connection:
            return {
                f"{table.name}.{column.name}"
                for table in metadata.sorted_tables
                for column in table.columns
                if isinstance(column.type, Double) and f"{table.name}.{column.name}" not in NO_TIMES
                for value in connection.scalars(select(column).where(column.is_not(None)))
                if abs(value - now) > TOLERANCE
            }
    finally:
        database.close()


@pytest.fixture
def strict(database_url: str, tmp_path: Path, model: OfflineServer) -> Iterator[Server]:
    """Its questions stay open for a minute."""
    server = build(make_settings(tmp_path, model.url, database_url=database_url, approval_seconds=60.0))
    yield server
    server.close()


@pytest.mark.parametrize("offset", [-HOUR, HOUR])
def test_a_question_does_not_expire_because_hosts_clocks_differ(
    strict: Server, monkeypatch: pytest.MonkeyPatch, offset: float
) -> None:
    """One process has asked, and another one, whose host is an hour off, judges it."""
    client = LocalClient(strict)
    session = client.new_session()
    with client.run(session, '[call shell {"cmd":"true"}][then][say done]', agent="tools") as stream:
        stream.until("tool_call_confirmation")
        true = time.time
        with monkeypatch.context() as patch:
            patch.setattr(time, "time", lambda: true() + offset)
            strict.control.expire_questions()
        assert client.session(session)["run"]["status"] == "awaiting_approval"
        client.call("POST", f"/api/sessions/{session}/resume", {"confirmation": "approve"})
        stream.rest()


def test_a_question_expires_by_the_database_s_time(strict: Server) -> None:
    client = LocalClient(strict)
    session = client.new_session()
    with client.run(session, '[call shell {"cmd":"true"}][then][say done]', agent="tools") as stream:
        stream.until("tool_call_confirmation")
        [waiting] = strict.store.runs.unanswered(0.0)
        assert waiting.waiting_for is not None
        assert abs(waiting.waiting_for.asked_at - strict.store.database.now()) < TOLERANCE
        assert strict.store.runs.unanswered(60.0) == []
        client.call("POST", f"/api/sessions/{session}/resume", {"confirmation": "approve"})
        stream.rest()
