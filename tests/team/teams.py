"""How the tests of this package load a file and read its problems."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import dedent

import pytest
from hypothesis import HealthCheck, settings

from app.errors import InvalidAgentConfig
from app.team.loading import load_team
from app.team.team import Team

steady = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""Properties are checked however slow the machine is."""


def team(text: str, environment: Mapping[str, str] | None = None) -> Team:
    return load_team(dedent(text), source="agents/x.yaml", environment=environment or {})


def problems(text: str) -> list[str]:
    """The lines of the error, without the file's name, which each must begin with."""
    with pytest.raises(InvalidAgentConfig) as caught:
        team(text)
    lines = caught.value.message.split("\n")
    assert all(line.startswith("agents/x.yaml:") for line in lines)
    return [line.removeprefix("agents/x.yaml:") for line in lines]
