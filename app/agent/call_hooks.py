"""Hooks around a tool call: who may make it, with what, and what is made of its result."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from app.agent.hook_answers import Hooking
from app.agent.hook_steps import Firing, HookSteps
from app.agent.loop_steps import Step, Steps
from app.agent.model_client import Cancellation
from app.agent.toolset import Tool, ToolResult
from app.conversation.blocks import Block, clean
from app.conversation.hook_events import HookBlocked
from app.conversation.session import Session
from app.conversation.wire_content import wire_tool_call
from app.errors import HookStopped, RunCancelled
from app.team.agent import Agent


class CallHooks(HookSteps):
    def __init__(self, cancellation: Cancellation, session: Session, agent: Agent, runner: Hooking) -> None:
        super().__init__(cancellation, session, agent, runner)
        self._stop_reason: str | None = None

    def decides_before_approval(self, tool: str) -> bool:
        return any(self._runner.has(point, tool) for point in ("tool_input_transform", "tool_guard"))

    def rewritten(self, block: Block, tool: Tool) -> Generator[Step, Any, tuple[Block, str]]:
        """The call as it is decided about, and why it must not be made; empty if it may. RunCancelled."""
        said = yield from self._gate_call("tool_input_transform", block, tool)
        if said.arguments is not None:
            block = {**block, "input": {**block["input"], **said.arguments}}
        return block, said.reason

    def guarded(self, block: Block, tool: Tool) -> Firing:
        """The verdict on a call before permissions decide about it. RunCancelled."""
        return (yield from self._gate_call("tool_guard", block, tool))

    def asked_for(self, block: Block, tool: Tool) -> Firing:
        """A person is about to be asked whether the call may run. RunCancelled."""
        said = yield from self._about("permission_request", block, tool)
        if self._cancellation.is_set():
            raise RunCancelled()
        return said

    def decides_approvals(self) -> bool:
        """Does anybody want to hear of decisions about calls?"""
        return self._runner.has("on_tool_approval_decision")

    def decided(self, block: Block, tool: Tool, decision: str, source: str) -> Steps:
        yield from self._about(
            "on_tool_approval_decision", block, tool, approval_decision=decision, approval_source=source
        )

    def before_call(self, block: Block, tool: Tool) -> Firing:
        """The verdict on a call that may be made. RunCancelled."""
        return (yield from self._gate_call("pre_tool_use", block, tool))

    def _gate_call(self, point: str, block: Block, tool: Tool) -> Firing:
        said = yield from self._about(point, block, tool)
        if self._cancellation.is_set():
            raise RunCancelled()
        if said.blocked:
            yield HookBlocked(
                agent_name=self._agent.name,
                tool_call=wire_tool_call(block),
                tool_definition=tool.definition(),
                message=said.reason,
            )
        return said

    def rewrites_results_of(self, tool: str) -> bool:
        """Into anything else than a masked one?"""
        hooks = self._runner.of_tool("tool_response_transform", tool)
        return not all(hook.masks_secrets for hook in hooks)

    def masks_results_of(self, tool: str) -> bool:
        return any(hook.masks_secrets for hook in self._runner.of_tool("tool_response_transform", tool))

    def transformed(
        self, block: Block, tool: Tool | None, result: ToolResult
    ) -> Generator[Step, Any, ToolResult]:
        """The result as hooks want it stored and shown."""
        said = yield from self._about("tool_response_transform", block, tool, **_response_of(result))
        if said.output is None:
            return result
        result = replace(result, output=said.output)
        rewritten = self.rewrites_results_of(block["name"])
        return replace(result, structured=None, meta=None) if rewritten else result

    def after_call(self, block: Block, tool: Tool | None, result: ToolResult) -> Steps:
        """The result is stored. A no ends the run when all calls of the turn have their results."""
        said = yield from self._about("post_tool_use", block, tool, **_response_of(result))
        if said.blocked and self._stop_reason is None:
            self._stop_reason = said.reason

    def check_stop(self) -> None:
        """HookStopped if a hook after a call has said no."""
        if self._stop_reason is not None:
            raise HookStopped(self._stop_reason)

    def _about(self, point: str, block: Block, tool: Tool | None, **given: Any) -> Firing:
        if tool is not None:
            given |= {"tool_category": tool.category} if tool.category else {}
            given |= {"tool_read_only": True} if tool.read_only else {}
        run = partial(
            self._runner.about_call,
            point,
            block["id"],
            block["name"],
            block["input"],
            agent_name=self._agent.name,
            **given,
        )
        return (yield from self._told(point, run, block["name"]))


def _response_of(result: ToolResult) -> Mapping[str, Any]:
    return {"tool_response": clean(result.output)} | ({"tool_error": True} if result.is_error else {})
