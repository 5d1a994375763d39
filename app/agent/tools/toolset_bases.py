"""The parts that toolsets have in common."""

from __future__ import annotations

from typing import Any

from app.agent.toolset import Toolset, prepare


class PlainToolset:
    """Says nothing in the prompt, has nothing to start or to stop, and keeps nothing, unless a class says otherwise."""

    @property
    def instructions(self) -> str:
        return ""

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def state(self) -> Any:
        return None


class WrappedToolset:
    """Begins, ends and is called as the toolset inside."""

    def __init__(self, inner: Toolset) -> None:
        self._inner = inner
        self.label = str(getattr(inner, "label", ""))

    @property
    def instructions(self) -> str:
        return self._inner.instructions

    def prepare(self) -> None:
        prepare(self._inner)

    def start(self) -> None:
        self._inner.start()

    def stop(self) -> None:
        self._inner.stop()

    def state(self) -> Any:
        return self._inner.state()


def innermost(toolset: Toolset) -> Toolset:
    """The toolset itself, without what is wrapped around it."""
    return innermost(toolset._inner) if isinstance(toolset, WrappedToolset) else toolset
