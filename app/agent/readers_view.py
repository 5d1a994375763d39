"""The view that readers get of a tool call: its output while it is at work, and its result, without secrets."""

from __future__ import annotations

from collections.abc import Callable

from app.agent.call_hooks import CallHooks
from app.agent.live_output import LiveOutput, output_of_call
from app.agent.redaction import redacted, redacted_result
from app.agent.toolset import Tool, ToolResult
from app.conversation.events import Event


class ReadersView:
    """Belongs to one agent's calls. It masks secrets where the agent's file says so (`redacts`)."""

    def __init__(
        self, publish: Callable[[Event], None], agent: str, hooks: CallHooks, *, redacts: bool
    ) -> None:
        self._publish = publish
        self._agent = agent
        self._hooks = hooks
        self._redacts = redacts

    def masked(self, result: ToolResult) -> ToolResult:
        """The result as hooks are told of it."""
        return redacted_result(result) if self._redacts else result

    def of_result(self, tool: str, result: ToolResult) -> ToolResult:
        """A secret that a hook has written into the result is masked, too; and where hooks mask, what they did not see
        because the run was cancelled."""
        return redacted_result(result) if self._masks(tool) else result

    def _masks(self, tool: str) -> bool:
        return self._redacts or self._hooks.masks_results_of(tool)

    def output_of(self, call_id: str, tool: Tool) -> LiveOutput:
        """Shows nothing that the result will not show."""
        if self._hooks.rewrites_results_of(tool.name):
            return LiveOutput(lambda _: None)
        mask = redacted if self._masks(tool.name) else None
        return output_of_call(self._publish, self._agent, call_id, tool.definition, mask=mask)
