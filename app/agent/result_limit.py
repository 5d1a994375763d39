"""How much of a tool's result a model is given: so much that the next turns still fit into its window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from app.agent.picture_admission import PictureLimit, is_data_uri
from app.agent.tools.output_limit import readable
from app.agent.toolset import Tool, ToolResult

SHARE: Final = 0.1
"""A part of the window, for one result."""
SHARE_OF_TURN: Final = 0.25
"""A part of the window, for all results of one turn: what the model has not seen is not summarized, so it must fit."""
MOST_TOKENS: Final = 40_000
"""For one result, however large the window is: a longer one is not shown to the model a second time."""
BYTES_PER_TOKEN: Final = 3
"""Fewer than in prose: a file of digits, or of Chinese, has more tokens for its bytes."""
BYTES_OF_A_LIMIT: Final = 4
"""For each token of a limit in an agent's file."""
LEAST_BYTES: Final = 1_000
"""For a result in a turn whose results have taken their share already."""

HOW: Final = (
    "Ask for less at a time: a narrower question, a filter, a range, a page; or write it to a file and read that "
    "in parts."
)


class ResultLimit:
    """For the results of one agent's calls, turn by turn. Owned by the run's thread. `window` is the size, in tokens,
    of the window that a tool's results must fit into; `most` are tokens that the agent's file allows for one result, or
    0 for no limit of its own."""

    def __init__(self, window: Callable[[Tool | None], int], most: int = 0) -> None:
        self._window = window
        self._most = most
        self.begin_turn()

    def begin_turn(self) -> None:
        self._given = 0  # bytes, in this turn
        self._pictures = PictureLimit()

    def room(self, tool: Tool | None) -> int:
        """How many bytes of the next result are shown."""
        window = self._window(tool)
        one = min(int(window * SHARE), MOST_TOKENS) * BYTES_PER_TOKEN
        left = int(window * SHARE_OF_TURN) * BYTES_PER_TOKEN - self._given
        room = max(min(one, left), LEAST_BYTES)
        return min(room, self._most * BYTES_OF_A_LIMIT) if self._most > 0 else room

    def fit(self, result: ToolResult, tool: Tool | None) -> ToolResult:
        """The result with as much of its text, and as many of its pictures, as there is room for, and none that the
        API would refuse. The rest is named, with how to get it."""
        result = self._with_pictures(result)
        data = result.output.encode("utf-8", "replace")
        room = self.room(tool)
        self._given += min(len(data), room)
        if len(data) <= room:
            return result
        how = (tool.read_on if tool is not None else "") or HOW
        words = f"[The first {room} of {len(data)} bytes are shown: more does not fit. {how}]"
        return replace(result, output=f"{readable(data[:room])}\n\n{words}")

    def _with_pictures(self, result: ToolResult) -> ToolResult:
        """A text that is nothing but a picture, as a `data:` URI, is that picture."""
        given, output = list(result.images), result.output
        if is_data_uri(output):
            given, output = [("", output), *given], ""
        if not given:
            return result
        taken = [self._pictures.take(one) for one in given]
        remarks = [one for one in taken if isinstance(one, str)]
        return replace(
            result,
            output="\n".join([output, *remarks] if output.strip() else remarks),
            images=[one for one in taken if not isinstance(one, str)],
        )
