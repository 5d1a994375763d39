"""The `plan` toolset: the one plan of a session, in Markdown, which stays with it."""

from __future__ import annotations

from typing import Annotated, Any, Final

from app.agent.tools.function_tool import FunctionToolset, tool
from app.agent.toolset import ToolResult

MAX_CHARACTERS: Final = 200_000


class PlanToolset(FunctionToolset):
    category = "plan"
    instructions = (
        "Keep the plan of this session with write_plan, as a whole each time, and look it up with read_plan. "
        "When it is complete and ready to be looked at, say so with exit_plan_mode; the user decides what comes next."
    )

    def __init__(self, state: Any = None) -> None:
        """`state` is the plan that was written in the session's earlier runs."""
        self._plan = state if isinstance(state, str) else ""

    def state(self) -> Any:
        return self._plan or None

    @tool(title="Write Plan")
    def write_plan(self, content: Annotated[str, "The whole plan, in Markdown"]) -> ToolResult:
        """Writes the plan of this session, or replaces it."""
        if not content.strip():
            return ToolResult.error("content must not be empty")
        if len(content) > MAX_CHARACTERS:
            return ToolResult.error(f"a plan has at most {MAX_CHARACTERS} characters")
        self._plan = content
        return ToolResult("Plan saved with the session")

    @tool(title="Read Plan", read_only=True)
    def read_plan(self) -> ToolResult:
        """Reads the plan of this session."""
        if not self._plan:
            return ToolResult.error("no plan written yet for this session; call write_plan first")
        return ToolResult(self._plan)

    @tool(title="Exit Plan Mode", read_only=True)
    def exit_plan_mode(self) -> ToolResult:
        """Says that the plan is complete and ready for review. It gives the conversation to no other agent."""
        if not self._plan:
            return ToolResult.error("no plan to mark ready; call write_plan before exit_plan_mode")
        return ToolResult("Plan ready for review.")
