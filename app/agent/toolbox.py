"""All the tools of one agent for one run: started, listed, and stopped together."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from app.agent.toolset import Tool, Toolset

log = logging.getLogger(__name__)


class Toolbox:
    """Owned by one run's thread. `problems` are toolsets that could not even be built, in words; with `describes`
    the model may say what a call is for."""

    def __init__(
        self,
        toolsets: Mapping[str, Toolset],
        *,
        own_tools: Sequence[Tool] = (),
        problems: Sequence[str] = (),
        notices: Sequence[str] = (),
        describes: bool = False,
    ) -> None:
        self._waiting = dict(toolsets)
        self._started: dict[str, Toolset] = {}
        self._own_tools = list(own_tools)
        self._describes = describes
        self._problems = list(problems)
        self._notices = list(notices)
        self._states: dict[str, Any] = {key: toolset.state() for key, toolset in toolsets.items()}
        self.tools: list[Tool] = []
        self.has_toolsets = bool(toolsets) or bool(problems)

    def list_tools(self) -> Sequence[Tool]:
        """Starts what has not started yet, and lists what there is; of two tools of one name the first wins.

        A toolset that fails is left out, reported by `take_problems`, and tried again at the next listing.
        """
        listed: list[Tool] = []
        for key, toolset in list(self._waiting.items()):
            try:
                toolset.start()
            except Exception as failure:
                log.warning("toolset %s did not start", key, exc_info=True)
                self._problems.append(f"{key} start failed: {failure}")
                continue
            self._started[key] = self._waiting.pop(key)
        for key, toolset in self._started.items():
            try:
                listed.extend(toolset.tools())
            except Exception as failure:
                log.warning("toolset %s did not list its tools", key, exc_info=True)
                self._problems.append(f"{key} list failed: {failure}")
        unique: dict[str, Tool] = {}
        for tool in [*listed, *self._own_tools]:
            unique.setdefault(tool.name, tool.with_description() if self._describes else tool)
        self.tools = list(unique.values())
        return self.tools

    def find(self, name: str) -> Tool | None:
        return next((tool for tool in self.tools if tool.name == name), None)

    @property
    def instructions(self) -> list[str]:
        return [toolset.instructions for toolset in self._started.values() if toolset.instructions]

    def take_problems(self) -> list[str]:
        """What went wrong since the last call of this."""
        problems, self._problems = self._problems, []
        return problems

    def take_notices(self) -> list[str]:
        """What else the user should know of this agent; each sentence once."""
        notices, self._notices = self._notices, []
        return notices

    def changed_states(self) -> dict[str, Any]:
        """The states that toolsets want stored, if they differ from what was last returned."""
        changed = {}
        for key, toolset in self._started.items():
            state = toolset.state()
            if state is not None and state != self._states.get(key):
                self._states[key] = changed[key] = state
        return changed

    def stop(self) -> None:
        for key, toolset in self._started.items():
            try:
                toolset.stop()
            except Exception:
                log.exception("toolset %s did not stop", key)
        self._started.clear()
