"""A database that a newer version has migrated: a server that starts on it is refused in words."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from sqlalchemy import text

from anthropic_standin.standin_server import OfflineServer
from app.factory import build
from app.store.engine import Database
from app.store.migrate import NEWEST, migrate, revision
from tests.commands.conftest import MAIN
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient
from tests.harness.process import ROOT, BatonProcess
from tests.harness.wire import text_of
from tests.upgrades.filling import AGENTS

NEWER = "0999"
WORDS = f"its schema is {NEWER}, made by a newer version; this one knows {NEWEST}: start that version, or"


@pytest.fixture
def newer_url(database_url: str) -> str:
    database = Database(database_url)
    migrate(database)
    set_revision(database, NEWER)
    database.close()
    return database_url


def set_revision(database: Database, number: str) -> None:
    with database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :number"), {"number": number})


def test_the_start_ends_with_one_line(newer_url: str, tmp_path: Path) -> None:
    process = BatonProcess(
        tmp_path, model_url="http://127.0.0.1:1", agents=AGENTS, database_url=newer_url, cold=True
    )
    with pytest.raises(AssertionError, match="the server did not start"):
        process.start()
    assert process.wait() == 1
    (line,) = (line for line in process.log().splitlines() if line.startswith("baton: "))
    assert line.startswith(f"baton: BATON_DATABASE_URL: {WORDS}")
    assert "Traceback" not in process.log()


def test_the_command_that_upgrades_says_so_too(newer_url: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [*MAIN, "db", "upgrade"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "BATON_DATABASE_URL": newer_url, "BATON_AGENTS": str(AGENTS)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"Error: the schema is {NEWER}, made by a newer version; this one knows {NEWEST}"
    )


def test_a_worker_that_starts_again_during_an_upgrade_serves_on(
    newer_url: str, tmp_path: Path, model: OfflineServer
) -> None:
    """Its master began before the upgrade; if it refused, gunicorn would end all its siblings with their runs."""
    server = build(make_settings(tmp_path, model.url, database_url=newer_url))
    client = LocalClient(server)
    assert text_of(client.say(client.new_session(), "[say still here]")) == "still here"
    assert revision(server.store.database) == NEWER
    server.close()
