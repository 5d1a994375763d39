"""Whether this machine lets bubblewrap make a cage."""

from __future__ import annotations

from functools import cache

import pytest

from app.agent.tools.cage import Cage
from app.selfcheck.cage_check import why_not


@cache
def _why_not() -> str:
    return why_not(Cage.find())


def require_cage() -> None:
    """Skips the test with bubblewrap's own words where it can't run."""
    if reason := _why_not():
        pytest.skip(f"bubblewrap can't run here: {reason}")
