"""Baton's own tools, with something else in the place of what they do."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest

from app.agent.tools.function_tool import FunctionToolset
from app.agent.toolset import Outcome


def instead_of(
    monkeypatch: pytest.MonkeyPatch, toolset: type[FunctionToolset], name: str, act: Callable[[], Outcome]
) -> None:
    """The tool keeps its name and its schema; a call of it does `act`."""

    @functools.wraps(getattr(toolset, name))
    def call(*_: object, **__: object) -> Outcome:
        return act()

    monkeypatch.setattr(toolset, name, call)
