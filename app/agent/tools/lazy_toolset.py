"""Toolsets that bring an HTTP library along, which is a tenth of a server's start and some megabytes. They are
imported when the first agent that has them is at work."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from app.agent.toolset import Toolset


def on_demand(module: str, name: str) -> Callable[..., Toolset]:
    """The class of that name, in that module beside this one."""
    found: Any = getattr(import_module(f"app.agent.tools.{module}"), name)
    return found  # type: ignore[no-any-return]  # that it is a class of toolsets is seen where it is written
