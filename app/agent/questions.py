"""The questions to people: may a call run, and what a tool wants to know."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from app.agent.approval import NOBODY, Verdict, judge
from app.agent.call_hooks import CallHooks
from app.agent.call_previews import READING, CallPreviews
from app.agent.loop_context import LoopContext
from app.agent.loop_steps import Ask, Step, Steps
from app.agent.readers_view import ReadersView
from app.agent.resumption import Resumption
from app.agent.toolset import Elicitation, Tool, ToolContext, ToolFailed, ToolResult
from app.conversation.blocks import Block
from app.conversation.call_events import ToolCallConfirmation
from app.conversation.changed_call import with_changes
from app.conversation.events import ElicitationRequest, Warning
from app.conversation.run import Answer, CallState, Question
from app.conversation.session import Session
from app.conversation.wire_content import wire_tool_call


@dataclass(frozen=True, slots=True)
class Decided:
    """A call as it may run, or why it must not: in words for the model, with the state in which it ends."""

    block: Block
    refusal: str = ""
    state: CallState = "rejected"


_READERS: Final = tuple(
    (Tool(name, "filesystem", "", lambda _arguments, _context: ToolResult(""), read_only=True), path)
    for name, path in READING.items()
)


class CallApproval:
    """Decides for one agent of one session which calls run. Owned by the run's thread."""

    def __init__(
        self,
        context: LoopContext,
        session: Session,
        agent: str,
        hooks: CallHooks,
        resumption: Resumption,
        view: ReadersView,
        tool_context: ToolContext,
    ) -> None:
        self._context = context
        self._session_id = session.id
        self._working_dir = Path(session.working_dir)
        self._agent = agent
        self._hooks = hooks
        self._resumption = resumption
        self._previews = CallPreviews(view, tool_context, self._may_read)
        self._metadata: dict[str, str] = {}  # of hooks, for the question about the call at hand

    def judge(self, block: Block, tool: Tool) -> Verdict:
        """By the permissions as they are at this moment."""
        return self._judge(tool, block["input"])

    def _may_read(self, path: str) -> bool:
        return all(self._judge(tool, {name: path}).outcome != "deny" for tool, name in _READERS)

    def _judge(self, tool: Tool, arguments: Mapping[str, Any]) -> Verdict:
        sessions = [self._context.look(self._session_id)]
        while above := sessions[-1].parent_id:
            sessions.append(self._context.look(above))
        return judge(
            tool,
            arguments,
            sessions,
            self._context.team.permissions,
            attended=self._context.attended,
            deny_wins=self._context.deny_wins,
            working_dir=self._working_dir,
        )

    def decide(self, block: Block, tool: Tool) -> Generator[Step, Any, Decided]:
        """May a new call run, and with what? Hooks and a person may be asked, and hooks are told what was decided. A
        call whose arguments a person has changed is judged anew, by all but that person. RunCancelled."""
        question = self._resumption.asked("approval", self._session_id, block["id"])
        answer = self._resumption.answer_to("approval", self._session_id, block["id"])
        return (yield from self._decide(block, tool, question, answer))

    def _decide(
        self, block: Block, tool: Tool, question: Question | None, answer: Answer | None
    ) -> Generator[Step, Any, Decided]:
        """`answer` is what was said to the `question`."""
        own = block
        if answer is not None and answer.arguments is not None:
            block = with_changes(block, answer.arguments)
        try:
            block = {**block, "input": tool.fit(block["input"])}
            rewritten, refusal = yield from self._hooks.rewritten(block, tool)
            if refusal:
                return Decided(block, blocked_words(refusal))
            if rewritten is not block:
                block = {**rewritten, "input": tool.fit(rewritten["input"])}
        except ToolFailed as problem:
            return Decided(block, f"Error calling tool: {problem}", "failed")
        verdict = yield from self._guarded(block, tool)
        if verdict.outcome == "ask" and answer is None and not verdict.source:
            verdict = yield from self._ask_hooks(block, tool)
        if verdict.outcome == "ask" and answer is None:
            question = self._question(block, tool)
            answer = yield from self._ask(question, block, tool)
            if answer.arguments is not None:
                return (yield from self._decide(own, tool, question, answer))
        if answer is not None and verdict.outcome != "deny":
            verdict = _answered(answer)
        yield from self._tell(block, tool, verdict)
        if verdict.outcome == "run" and question is not None:
            shown = question.details.get("preview") or {}
            return Decided(block, self._previews.outdated(tool, block["input"], shown))
        return Decided(block, verdict.words)

    def _guarded(self, block: Block, tool: Tool) -> Generator[Step, Any, Verdict]:
        """By a guard of the agent's and by the permissions; a guard can make them stricter only."""
        said = yield from self._hooks.guarded(block, tool)
        self._metadata = dict(said.metadata)
        verdict = self.judge(block, tool)
        if said.blocked:
            return Verdict("deny", blocked_words(said.reason), "tool_guard_deny")
        if not said.asks or verdict.outcome != "run":
            return verdict
        if self._context.attended:
            return Verdict("ask", source="tool_guard")  # which no other hook answers
        return Verdict("deny", NOBODY.format(tool=tool.name), "non_interactive_deny")

    def tell(self, block: Block, tool: Tool) -> Steps:
        """Hooks hear of a call that nobody has to be asked about."""
        if self._hooks.decides_approvals():
            yield from self._tell(block, tool, self.judge(block, tool))

    def _tell(self, block: Block, tool: Tool, verdict: Verdict) -> Steps:
        decision = "allow" if verdict.outcome == "run" else "deny"
        yield from self._hooks.decided(block, tool, decision, verdict.source)

    def _ask_hooks(self, block: Block, tool: Tool) -> Generator[Step, Any, Verdict]:
        said = yield from self._hooks.asked_for(block, tool)
        self._metadata |= said.metadata
        if said.blocked:
            words = f"A hook rejected the tool call. Reason: {said.reason}"
            return Verdict("deny", words, "permission_request_hook_deny")
        return Verdict("run", source="permission_request_hook_allow") if said.allowed else Verdict("ask")

    def _question(self, block: Block, tool: Tool) -> Question:
        details = {"arguments": block["input"], "agent": self._agent, "definition": definition_of(tool)}
        if preview := self._previews.of(tool, block["input"]):
            details["preview"] = preview
        return Question(
            "approval",
            session_id=self._session_id,
            call_id=block["id"],
            name=tool.name,
            details=details,
        )

    def _ask(self, question: Question, block: Block, tool: Tool) -> Generator[Step, Any, Answer]:
        event = ToolCallConfirmation(
            agent_name=self._agent,
            tool_call=wire_tool_call(block),
            tool_definition=tool.definition(),
            metadata=self._metadata,
        )
        self._hooks.tell_of_question()
        answer: Answer = yield Ask(question, event)
        return answer


_APPROVED: Final = {
    "approve-tool": "user_approved_tool",
    "approve-session": "user_approved_autonomous",
    "approve-autonomous": "user_approved_autonomous",
    "approve-balanced": "user_approved_balanced",
}
"""By an answer that approves more than the call: what hooks are told of it."""


def definition_of(tool: Tool) -> dict[str, Any]:
    """What any process must know of a tool to judge arguments that a person gives its call."""
    return {"parameters": tool.parameters, "read_only": tool.read_only, "destructive": tool.destructive}


def blocked_words(reason: str) -> str:
    return f"Tool call blocked by hook: {reason}"


def _answered(answer: Answer) -> Verdict:
    """What a person's answer means."""
    if answer.decision.startswith("approve"):
        return Verdict("run", source=_APPROVED.get(answer.decision, "user_approved"))
    if answer.decision == "expired":
        words = "Nobody approved this tool call in time, so it was not run. It was not rejected either."
        return Verdict("deny", words, "non_interactive_deny")
    reason = answer.reason.strip()
    words = "The user rejected the tool call." + (f" Reason: {reason}" if reason else "")
    return Verdict("deny", answer.refusal or words, "user_rejected")


def elicitation(asked: Elicitation, *, session_id: str, agent: str, call_id: str = "", name: str = "") -> Ask:
    details = {"message": asked.message, "schema": asked.schema, "agent": agent}
    if asked.for_worker is not None:
        details["arguments"] = asked.for_worker
    question = Question("elicitation", session_id=session_id, call_id=call_id, name=name, details=details)
    if asked.for_worker is not None:
        waits = Warning(agent_name=agent, message=asked.message)
        return Ask(question, waits, handler_ended=asked.then is None)
    event = ElicitationRequest(
        agent_name=agent,
        message=asked.message,
        mode=asked.mode,
        schema=asked.schema,
        url=asked.url,
        elicitation_id=asked.elicitation_id,
        meta=asked.meta,
    )
    return Ask(question, event, handler_ended=asked.then is None)
