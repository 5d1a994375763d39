"""The commands for backup and restore, as docs/operations.md prints them, while a run is at work; then a server on
what was restored."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from anthropic_standin.standin_server import OfflineServer
from tests.conftest import StartBaton
from tests.deployment.conftest import Connect
from tests.harness.postgres import PostgresServer, find_binaries
from tests.harness.process import ROOT, BatonProcess
from tests.harness.wire import Client, text_of


def commands(kind: str) -> str:
    """The block of shell commands with that first line."""
    blocks = re.findall(r"```\n(.*?)```", (ROOT / "docs" / "operations.md").read_text(), re.DOTALL)
    [block] = [block for block in blocks if block.startswith(f"# {kind}")]
    return str(block)


def shell(script: str, directory: Path, **environment: str) -> None:
    path = os.environ["PATH"]
    if (binaries := find_binaries()) is not None:
        path = f"{binaries}:{path}"
    done = subprocess.run(
        ["sh", "-euc", script],
        cwd=directory,
        env={"PATH": path, "LC_ALL": "C.UTF-8", **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def talk(client: Client) -> tuple[str, str]:
    """A session with a run that ended, and one to be found at work."""
    ended, at_work = client.new_session(), client.new_session()
    assert text_of(client.say(ended, "[say remember me]")) == "remember me"
    return ended, at_work


def assert_serves(client: Client, ended: str, at_work: str) -> None:
    """The stored messages are there; the run that the copy cut is closed, and its session is free."""
    assert [one["content"] for one in client.messages(ended)] == ["[say remember me]", "remember me"]
    assert text_of(client.say(ended, "[say and on]")) == "and on"
    [cut] = client.get(f"/api/runs?session={at_work}").json()
    assert cut["status"] == "interrupted"
    assert "run" not in client.session(at_work)


@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="the sqlite3 program is not installed")
def test_a_copy_of_sqlite_that_was_made_during_a_run_serves_its_sessions(
    start_baton: StartBaton, connect: Connect, model: OfflineServer, tmp_path: Path
) -> None:
    """Made in either way."""
    copy, other = tmp_path / "copy.db", tmp_path / "other.db"
    baton = start_baton()
    client = connect(baton.url)
    ended, at_work = talk(client)
    with client.run(at_work, "[words 8][hold 4 times 1]") as stream:
        stream.until("agent_choice")
        shell(commands("SQLite, another way"), tmp_path)
        copy.rename(other)
        shell(commands("SQLite, backup"), tmp_path)
        baton.kill()
    model.release()
    for made in (copy, other):
        made.rename(copy)
        shell(commands("SQLite, restore"), tmp_path)
        restored = start_baton()
        assert_serves(connect(restored.url), ended, at_work)
        restored.kill()


@pytest.mark.postgres
def test_a_dump_of_postgresql_that_was_made_during_a_run_serves_its_sessions(
    start_baton: StartBaton, connect: Connect, model: OfflineServer, tmp_path: Path, postgres: PostgresServer
) -> None:
    url = postgres.new_database()
    baton: BatonProcess = start_baton(database_url=url)
    client = connect(baton.url)
    ended, at_work = talk(client)
    with client.run(at_work, "[words 8][hold 4 times 1]") as stream:
        stream.until("agent_choice")
        shell(commands("PostgreSQL, backup"), tmp_path, BATON_DATABASE_URL=url)
        baton.kill()
    model.release()
    restored = url.rpartition("/")[0] + "/baton_restored"
    shell(commands("PostgreSQL, restore"), tmp_path, BATON_DATABASE_URL=url, RESTORED=restored)
    assert_serves(connect(start_baton(database_url=restored).url), ended, at_work)
