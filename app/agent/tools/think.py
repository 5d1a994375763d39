"""The `think` toolset: a place to reason in before acting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

from app.agent.tools.function_tool import FunctionToolset, tool
from app.agent.toolset import ToolResult

MAX_THOUGHTS: Final = 50
MAX_CHARACTERS: Final = 20_000


class ThinkToolset(FunctionToolset):
    """Remembers the latest thoughts of a session's agent: each answer repeats them, so old ones go."""

    category = "think"
    instructions = (
        "Use the think tool to sort out what you know before you act on it: which rules apply, what is still "
        "missing, whether the plan keeps to the rules, whether a result makes sense. It changes nothing."
    )

    def __init__(self, *, state: Any = None) -> None:
        kept = state if isinstance(state, list) else []
        self._thoughts = _latest([thought for thought in kept if isinstance(thought, str)])

    def state(self) -> Any:
        return list(self._thoughts) or None

    @tool(read_only=True, in_order=True)
    def think(self, thought: Annotated[str, "What to think about"]) -> ToolResult:
        """Writes down a thought and shows the thoughts so far. Nothing else happens."""
        self._thoughts = _latest([*self._thoughts, thought])
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
