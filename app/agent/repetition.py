"""Notices a model that makes the same calls again and again and gets the same results."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import orjson

from app.agent.toolset import Tool, ToolResult
from app.errors import CallsRepeated

DEFAULT_MOST: Final = 10
LEAST: Final = 3
"""Turns: the model has to be told before its run is stopped, and a first call can't be known to be repeated."""
TOLD: Final = 3
"""Turns, after which the model is told; or after one less, if the next one is the last."""

_WAITS: Final = re.compile(r"(?:^|[_-])(?:wait|poll|sleep|watch)", re.IGNORECASE)
"""In the name of a tool that nobody could mark: one of a tool server, a script."""


class Repetition:
    """Counts the turns in a row that made no other calls, and got no other results, than the turn before. Owned by
    the run's thread. `most`: after so many the run ends; 0 for the default."""

    def __init__(self, most: int) -> None:
        self._most = max(most or DEFAULT_MOST, LEAST)
        self.forget()

    def forget(self) -> None:
        """Somebody has said something new."""
        self._before: frozenset[bytes] = frozenset()
        self._now: dict[bytes, str] = {}
        self._turns = 0

    def note(
        self, name: str, arguments: Mapping[str, Any], result: ToolResult, tool: Tool | None
    ) -> ToolResult:
        """The result of a call; with a remark for the model if it repeats itself. A tool that waits for something is
        not counted: asking it again is what it is for."""
        if (tool is not None and tool.waits) or _WAITS.search(name):
            return result
        signature = _signature(name, arguments, result)
        self._now[signature] = name
        times = self._turns + 1
        if signature not in self._before or times < min(TOLD, self._most - 1):
            return result
        words = (
            f"[You have made this call {times} times in a row, with the same arguments and the same result. "
            "Making it again will change nothing: use what you know, try something else, or say what is in your way. "
            f"After {self._most} times you are stopped.]"
        )
        return replace(result, output=f"{result.output}\n\n{words}" if result.output.strip() else words)

    def end_turn(self) -> None:
        """Every call of the turn has its result. CallsRepeated if that was one time too many."""
        if not self._now:
            return
        repeated = self._now.keys() <= self._before
        self._turns = self._turns + 1 if repeated else 1
        self._before, names = frozenset(self._now), sorted(set(self._now.values()))
        self._now = {}
        if self._turns >= self._most:
            raise CallsRepeated(
                f"The run was stopped: the model called {', '.join(names)} {self._turns} times in a row, with the "
                "same arguments and the same result each time."
            )


def _signature(name: str, arguments: Mapping[str, Any], result: ToolResult) -> bytes:
    made = orjson.dumps([name, arguments], option=orjson.OPT_SORT_KEYS)
    digest = hashlib.sha256(made)
    for part in (result.output, *(data for _, data in result.images)):
        digest.update(b"\0" + part.encode("utf-8", "replace"))
    return digest.digest()
