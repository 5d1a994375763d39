"""The `think` toolset: a place to reason in before acting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from app.agent.tools.parameters import parameters, text
from app.agent.toolset import Tool, ToolContext, ToolResult, string

MAX_THOUGHTS: Final = 50
MAX_CHARACTERS: Final = 20_000


class ThinkToolset:
    """Remembers the latest thoughts of a session's agent: each answer repeats them, so old ones go."""

    instructions = (
        "Use the think tool to sort out what you know before you act on it: which rules apply, what is still "
        "missing, whether the plan keeps to the rules, whether a result makes sense. It changes nothing."
    )

    def __init__(self, *, state: Any = None) -> None:
        kept = state if isinstance(state, list) else []
        self._thoughts = _latest([thought for thought in kept if isinstance(thought, str)])

    def tools(self) -> Sequence[Tool]:
        return [
            Tool(
                name="think",
                title="Think",
                category="think",
                description="Writes down a thought and shows the thoughts so far. Nothing else happens.",
                parameters=parameters({"thought": text("What to think about")}),
                read_only=True,
                in_order=True,
                handler=self._think,
            )
        ]

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def state(self) -> Any:
        return list(self._thoughts) or None

    def _think(self, arguments: Mapping[str, Any], _context: ToolContext) -> ToolResult:
        self._thoughts = _latest([*self._thoughts, string(arguments, "thought")])
        return ToolResult("Thoughts:\n" + "\n".join(self._thoughts))


def _latest(thoughts: Sequence[str]) -> list[str]:
    """As many whole thoughts from the end as are allowed; a single one that is too long is cut to its end."""
    kept: list[str] = []
    room = MAX_CHARACTERS
    for thought in reversed(thoughts[-MAX_THOUGHTS:]):
        if len(thought) > room:
            if not kept:
                kept.append(thought[-room:])
            break
        kept.append(thought)
        room -= len(thought)
    return kept[::-1]
