"""Modules that a server does not load before somebody needs them."""

from __future__ import annotations

import subprocess
import sys

import pytest

FACTORY = "import sys, app.factory; print(*sys.modules)"


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    return set(subprocess.check_output([sys.executable, "-c", FACTORY], text=True).split())


@pytest.mark.parametrize("name", ["anthropic", "alembic", "requests", "mcp", "opentelemetry", "psycopg"])
def test_a_server_starts_without_what_only_some_need_or_what_can_wait(loaded: set[str], name: str) -> None:
    assert "flask" in loaded
    assert name not in loaded
