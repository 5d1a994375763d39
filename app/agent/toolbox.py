"""All the tools of one agent for one run: started, listed, and stopped together."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from app.agent.tool_normalizing import fit
from app.agent.tools.schemas.normalizing import UnusableSchema
from app.agent.toolset import QuestionFirst, ServerLost, Tool, Toolset, ToolsetFailed, prepare
from app.conversation.events import Json

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
        file: str = "",
    ) -> None:
        """`described`: calls may say for people what they are for. `file` is that of the agent, for the log."""
        self._described = described
        self._file = file
        self._said: set[str] = set()
        self._waiting = dict(toolsets)
        self._started: dict[str, Toolset] = {}
        self._own_tools = list(own_tools)
        self._problems = list(problems)
        self._failing: set[tuple[str, str]] = (
            set()
        )  # toolsets, by key, and the steps that failed the last time
        self._notices = list(notices)
        self._questions: list[QuestionFirst] = []
        self._lost: list[ServerLost] = []
        self._states: dict[str, Any] = {key: toolset.state() for key, toolset in toolsets.items()}
        self.tools: list[Tool] = []
        self.has_toolsets = bool(toolsets) or bool(problems) or bool(own_tools)

    def list_tools(self) -> Sequence[Tool]:
        """Starts what has not started yet, and lists what there is; the first wins if two tools have one name.

        A toolset that fails is left out, reported by `take_problems`, and tried again at the next listing. A tool
        that the API would refuse is left out, and so is a second one of a name; `take_notices` says so once.
        """
        self._start()
        listed: list[tuple[str, Tool]] = []
        for key, toolset in self._started.items():
            try:
                listed += [(_place(key, toolset), tool) for tool in toolset.tools()]
            except Exception as failure:
                self._fails(key, toolset, "list", failure)
            else:
                self._failing.discard((key, "list"))
        self.tools = self._unique([*listed, *(("the team", tool) for tool in self._own_tools)])
        return self.tools

    def _start(self) -> None:
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
                self._fails(key, toolset, "start", failure)
                continue
            self._started[key] = self._waiting.pop(key)

    def _unique(self, listed: Sequence[tuple[str, Tool]]) -> list[Tool]:
        """The tools that can be offered to the model, each name once."""
        unique: dict[str, tuple[str, Tool]] = {}
        hidden: dict[tuple[str, str], list[str]] = {}
        for place, tool in listed:
            try:
                offered = fit(tool)
            except UnusableSchema as problem:
                self._tell(f"The tool '{tool.name:.100}' of {place} is left out: {problem}.")
                continue
            if len(offered.name) < len(tool.name):
                self._tell(
                    f"The tool '{tool.name:.300}' of {place} is called '{offered.name}': its name is too long."
                )
            first, _ = unique.setdefault(offered.name, (place, offered))
            if unique[offered.name][1] is not offered:
                hidden.setdefault((first, place), []).append(offered.name)
        for (first, second), names in hidden.items():
            where = f"{first} and {second}" if first != second else f"{first}, twice"
            self._tell(f"Of tools with the same name the first counts: {', '.join(names)} of {where}.")
        tools = [tool for _, tool in unique.values()]
        return [tool.with_description() for tool in tools] if self._described else tools

    def _fails(self, key: str, toolset: Toolset, step: str, failure: Exception) -> None:
        words = f"{_label(key, toolset)} {step} failed: {failure}"
        if (key, step) not in self._failing:
            self._failing.add((key, step))
            self._problems.append(words)
            if isinstance(failure, ServerLost):
                self._lost.append(failure)
        if words not in self._said:
            self._said.add(words)
            ours = not isinstance(failure, ToolsetFailed)
            words = " ".join(words.split())
            log.warning("agent file %s, toolset %s: %s", self._file or "-", key, words, exc_info=ours)

    def _tell(self, words: str) -> None:
        """Once for each run."""
        if words not in self._said:
            self._said.add(words)
            self._notices.append(words)
            log.warning("agent file %s: %s", self._file or "-", words)

    def find(self, name: str) -> Tool | None:
        return next((tool for tool in self.tools if tool.name == name), None)

    def definition(self, name: str) -> Json:
        """The tool as readers are told of it, also if there is none of that name."""
        tool = self.find(name)
        return tool.definition() if tool else unknown_definition(name)

    @property
    def instructions(self) -> list[str]:
        return [toolset.instructions for toolset in self._started.values() if toolset.instructions]

    def take_problems(self) -> list[str]:
        """The failures since the last call of this. A toolset that goes on failing, in whatever words, is not told of
        again before it has worked."""
        problems, self._problems = self._problems, []
        return problems

    def take_lost(self) -> list[ServerLost]:
        """The failures that concern servers which a client's agent names."""
        lost, self._lost = self._lost, []
        return lost

    def take_questions(self) -> list[QuestionFirst]:
        """The questions of toolsets before they start; they are tried again at the next listing."""
        questions, self._questions = self._questions, []
        return questions

    def take_notices(self) -> list[str]:
        """Other facts that the user should know of this agent; each sentence once."""
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
        """Stops toolsets that did not start too: they may have been prepared."""
        for key, toolset in [*self._started.items(), *self._waiting.items()]:
            try:
                toolset.stop()
            except Exception:
                log.exception("toolset %s did not stop", key)
        self._started.clear()
        self._waiting.clear()


def _label(key: str, toolset: Toolset) -> str:
    """The toolset's name in warnings."""
    return str(getattr(toolset, "label", "") or key)


def _place(key: str, toolset: Toolset) -> str:
    """The same for messages about its tools; two servers with one command have one each."""
    label = _label(key, toolset)
    return key if label == key else f"{key}, {label}"


def unknown_definition(name: str) -> Json:
    return {"name": name, "category": "", "parameters": None, "annotations": {}, "outputSchema": None}
