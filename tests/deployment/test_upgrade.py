"""USR2 across a migration: the old code has a run at work while the new code migrates its database."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.store.engine import Database
from app.store.migrate import NEWEST, revision
from tests.deployment.conftest import Connect
from tests.harness.gate import Gate
from tests.harness.process import ROOT, BatonProcess, eventually
from tests.harness.wire import text_of
from tests.upgrades.filling import AGENTS
from tests.upgrades.old_code import SCHEMA_0001, unpack

RELEASED: Final = """
import sys
from pathlib import Path

root = Path(__file__).with_name("current").resolve()
sys.path.insert(0, str(root))
exec(compile((root / "gunicorn.conf.py").read_text(), root / "gunicorn.conf.py", "exec"))
"""
"""The configuration of a server whose code is where a link points to when it starts."""

PATIENT: Final = {"BATON_DRAIN_SECONDS": "30"}


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    one = Gate(tmp_path)
    yield one
    one.close()


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A directory whose link `current` points to the old code."""
    directory = tmp_path / "release"
    directory.mkdir()
    (directory / "gunicorn.conf.py").write_text(RELEASED)
    (directory / "current").symlink_to(unpack(SCHEMA_0001, tmp_path / "old"))
    return directory


def schema(url: str) -> str | None:
    with closing(Database(url)) as database:
        return revision(database)


def test_usr2_migrates_while_a_run_of_the_old_server_is_at_work(
    release: Path, connect: Connect, empty_url: str, tmp_path: Path, model: OfflineServer, gate: Gate
) -> None:
    server = BatonProcess(
        tmp_path,
        model_url=model.url,
        agents=AGENTS,
        database_url=empty_url,
        settings=PATIENT,
        root=release,
    )
    try:
        client = connect(server.start().url)
        assert schema(empty_url) == "0001"
        workers = set(server.worker_pids())
        session = client.new_session(tools_approved=True)
        text = f"{gate.call}[then][say finished]"
        with client.run(session, text, agent="hands") as stream:
            gate.wait_until_reached()
            (release / "current").unlink()
            (release / "current").symlink_to(ROOT)
            server.signal(signal.SIGUSR2)
            eventually(lambda: set(server.worker_pids()) - workers, "a new master was started", seconds=60)
            eventually(lambda: schema(empty_url) == NEWEST, "it has migrated", seconds=60)
            eventually(lambda: server.log().count("Booting worker") > 1, "it has a worker", seconds=60)
            server.signal(signal.SIGTERM)
            gate.open()
            assert text_of(stream.rest()) == "finished"
        eventually(lambda: not server.running, "the old master has gone", seconds=60)
        newcomer = connect(server.url)
        assert [run["status"] for run in newcomer.get("/api/runs").json()] == ["finished"]
        assert text_of(newcomer.say(session, "[say and on]", agent="hands")) == "and on"
    finally:
        server.kill()
