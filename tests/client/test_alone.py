"""The client can be taken away: it needs `requests`, for asyncio `httpx2` too, and nothing of Baton."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.harness.process import ROOT

THE_SERVERS = {
    "anthropic_standin",
    "app",
    "anthropic",
    "click",
    "flask",
    "gunicorn",
    "pydantic",
    "rich",
    "sqlalchemy",
}


def loaded(statement: str, directory: Path) -> set[str]:
    """The packages that are there after it, in an interpreter of its own."""
    program = f"import sys; {statement}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=directory, env={}, check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def test_the_client_is_importable_alone(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "baton_client", tmp_path / "client")
    there = loaded("import client", tmp_path)
    assert "requests" in there
    assert not there & THE_SERVERS
    assert "httpx2" not in there
    there = loaded("import client.asynchronous", tmp_path)
    assert "httpx2" in there
    assert not there & THE_SERVERS


def test_importing_it_from_here_loads_nothing_of_the_server() -> None:
    assert loaded("import baton_client", ROOT) & THE_SERVERS == set()
