"""All the tools of one agent for one run: started, listed, and stopped together."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from app.agent.toolset import QuestionFirst, Tool, Toolset, prepare

log = logging.getLogger(__name__)


class Toolbox:
    """Owned by one run's thread. `problems` are toolsets that could not even be built, in words."""

    def __init__(
        self,
        toolsets: Mapping[str, Toolset],
        *,
        own_tools: Sequence[Tool] = (),
        problems: Sequence[str] = (),
        notices: Sequence[str] = (),
        described: bool = False,
    ) -> None:
        """`described`: calls may say for people what they are for."""
        self._described = described
        self._waiting = dict(toolsets)
        self._started: dict[str, Toolset] = {}
        self._own_tools = list(own_tools)
        self._problems = list(problems)
        self._notices = list(notices)
        self._questions: list[QuestionFirst] = []
        self._states: dict[str, Any] = {key: toolset.state() for key, toolset in toolsets.items()}
        self.tools: list[Tool] = []
        self.has_toolsets = bool(toolsets) or bool(problems)

    def list_tools(self) -> Sequence[Tool]:
        """Starts what has not started yet, and lists what there is; of two tools of one name the first wins.

        A toolset that fails is left out, reported by `take_problems`, and tried again at the next listing.
        """
        listed: list[Tool] = []
        for key, toolset in self._waiting.items():
            try:
                prepare(toolset)
            except Exception:
                log.debug("toolset %s could not be prepared; its start will say why", key, exc_info=True)
        for key, toolset in list(self._waiting.items()):
            try:
                toolset.start()
            except QuestionFirst as question:
                self._questions.append(question)
                continue
            except Exception as failure:
                log.warning("toolset %s did not start", key, exc_info=True)
                self._problems.append(f"{_label(key, toolset)} start failed: {failure}")
                continue
            self._started[key] = self._waiting.pop(key)
        for key, toolset in self._started.items():
            try:
                listed.extend(toolset.tools())
            except Exception as failure:
                log.warning("toolset %s did not list its tools", key, exc_info=True)
                self._problems.append(f"{_label(key, toolset)} list failed: {failure}")
        unique: dict[str, Tool] = {}
        for tool in [*listed, *self._own_tools]:
            unique.setdefault(tool.name, tool.with_description() if self._described else tool)
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

    def take_questions(self) -> list[QuestionFirst]:
        """What toolsets want to know before they start; they are tried again at the next listing."""
        questions, self._questions = self._questions, []
        return questions

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
        """Those that did not start too: they may have been prepared."""
        for key, toolset in [*self._started.items(), *self._waiting.items()]:
            try:
                toolset.stop()
            except Exception:
                log.exception("toolset %s did not stop", key)
        self._started.clear()
        self._waiting.clear()


def _label(key: str, toolset: Toolset) -> str:
    """What warnings call it."""
    return str(getattr(toolset, "label", "") or key)
