"""Makes a tool call: approval, the handler, the result.

Every call that was made gets exactly one result, whatever happens; what is still open when this stops early
is closed by whoever ends the run.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from app.agent.call_hooks import CallHooks
from app.agent.delegation import GIVING, handed_over
from app.agent.history import History
from app.agent.live_output import LiveOutput
from app.agent.loop_context import LoopContext
from app.agent.loop_steps import CallEnded, CallStarting, Step
from app.agent.model_client import Cancellation
from app.agent.questions import CallApproval, blocked_words, elicitation
from app.agent.readers_view import ReadersView
from app.agent.repetition import Repetition
from app.agent.result_limit import ResultLimit
from app.agent.resumption import Resumption
from app.agent.toolbox import Toolbox
from app.agent.tools.user_prompt import answer_result
from app.agent.toolset import (
    CANCELLED,
    Delegation,
    Elicitation,
    Handoff,
    ModelChange,
    Outcome,
    Tool,
    ToolCancelled,
    ToolContext,
    ToolFailed,
    ToolResult,
)
from app.conversation.blocks import Block, tool_result
from app.conversation.call_events import ToolCallResponse, ToolCallStarted
from app.conversation.changed_call import as_begun, told_of, with_changes
from app.conversation.events import MessageAdded
from app.conversation.run import Answer, CallState, ToolCall, unknown_outcome
from app.conversation.session import Session
from app.conversation.transcript import Message
from app.conversation.wire_content import wire_tool_call
from app.errors import RunCancelled

TRUNCATED: Final = (
    "This tool call was cut off while it was being written, so it was not run. "
    "Make it again, in smaller parts."
)
UNREADABLE: Final = "The arguments of this tool call are not valid JSON, so it was not run."
UNKNOWN_OUTCOME: Final = unknown_outcome("the server stopped while it was running")

Delegate = Callable[[str, Delegation | None], Generator[Step, Any, ToolResult]]
"""Does a task for a call's id; None goes on with one that was begun before this process."""


Switch = Callable[[ModelChange], Generator[Step, Any, ToolResult]]
"""Lets the agent go on by another model from its next turn on."""


@dataclass(frozen=True, slots=True)
class ApprovedCall:
    """A call that has its approval. Its handler may run, unless there is a `refusal` for the model. Its arguments fit
    the tool's schema, unless a hook changed them. `output` is what it tells its readers meanwhile."""

    block: Block
    tool: Tool
    output: LiveOutput
    refusal: str = ""
    is_changed: bool = False


class ToolRunner:
    """Calls tools for one agent of one session. Yields steps; its generators return the tool row.

    `handed_to` is the agent that the last turn gave the conversation to.
    """

    def __init__(
        self,
        context: LoopContext,
        session: Session,
        agent: str,
        history: History,
        toolbox: Toolbox,
        hooks: CallHooks,
        resumption: Resumption,
        delegate: Delegate,
        switch: Switch,
        repetition: Repetition,
        limit: ResultLimit,
        redacts: bool = False,
    ) -> None:
        self._view = ReadersView(context.publish, agent, hooks, redacts=redacts)
        self.handed_to: str | None = None
        self._switch = switch
        self._repetition = repetition
        self._limit = limit
        self._context = context
        self._delegate = delegate
        self._session_id = session.id
        self._agent = agent
        self._history = history
        self._toolbox = toolbox
        self._hooks = hooks
        self._resumption = resumption
        self._tool_context = ToolContext(
            Path(session.working_dir),
            context.cancellation,
            attended=context.attended,
            ground=context.ground,
        )
        self._approval = CallApproval(
            context, session, agent, hooks, resumption, self._view, self._tool_context
        )

    def call(self, block: Block) -> Generator[Step, Any, Message]:
        """One call of the last turn, from approval to its result."""
        tool = self._find(block)
        known = self._resumption.ledger.get(block["id"])
        if known is not None and known.is_changed(block["input"]):
            block = with_changes(block, known.arguments)
        if form := self._form(block, known):
            return (yield from self._conclude(as_begun(block), _result_of(tool, form)))
        if known is not None and known.state == "running" and block["name"] in GIVING:
            done = yield from self._delegate(block["id"], None)
            return (yield from self._conclude(as_begun(block), done))
        if known is not None and known.state == "running":
            return (yield from self.end(as_begun(block), ToolResult.error(UNKNOWN_OUTCOME), "unknown"))
        if tool is None:
            called = block.get("called", block["name"])
            words = f"Tool '{called}' is not available. You can only use the tools provided to you."
            return (yield from self.end(block, ToolResult.error(words), "failed"))
        decided = yield from self._approval.decide(block, tool)
        if decided.refusal:
            return (yield from self.end(decided.block, ToolResult.error(decided.refusal), decided.state))
        begun = yield from self.begin(decided.block, tool)
        return (yield from self.finish(begun, lambda: self.work(begun, self._context.cancellation)))

    def only_reads(self, block: Block) -> bool:
        """Might the call be made beside others?"""
        tool = self._find(block)
        return tool is not None and tool.runs_beside_others

    def beside(self, block: Block) -> tuple[Block, Tool] | None:
        """The call with arguments that fit, and its tool, if it can be made beside others: it only reads, is new, and
        nobody has to be asked."""
        tool = self._find(block)
        known = self._resumption.ledger.get(block["id"])
        question = self._resumption.question
        if tool is None or not tool.runs_beside_others or (known is not None and known.is_decided):
            return None
        if self._hooks.decides_before_approval(tool.name):
            return None
        if question is not None and question.call_id == block["id"]:
            return None
        try:
            block = {**block, "input": tool.fit(block["input"])}
        except ToolFailed:
            return None
        return (block, tool) if self._approval.judge(block, tool).outcome == "run" else None

    def recall(self, block: Block) -> None:
        """A call of the last turn that ended in another process."""
        known = self._resumption.ledger.get(block["id"])
        if known is not None and (known.name, known.state) == ("handoff", "completed"):
            self.handed_to = str({**block["input"], **known.arguments}["agent"])

    def end(self, block: Block, result: ToolResult, state: CallState) -> Generator[Step, Any, Message]:
        """The result goes into the store first, and to the readers then; as the agent's hooks want it."""
        result = yield from self._hooks.transformed(block, self._find(block), self._view.masked(result))
        return (yield from self._store(block, result, state))

    def _store(self, block: Block, result: ToolResult, state: CallState) -> Generator[Step, Any, Message]:
        tool, result = self._find(block), self._view.of_result(block["name"], result)
        result = self._repetition.note(block["name"], block["input"], self._limit.fit(result, tool), tool)
        if line := told_of(block):
            line = self._view.of_result(block["name"], ToolResult(line)).output
            result = replace(result, output=f"{line}\n\n{result.output}".rstrip())
        content = tool_result(
            block["id"],
            result.output,
            is_error=result.is_error,
            images=result.images,
            documents=result.documents,
        )
        row = Message(
            "tool",
            (content,),
            agent=self._agent,
            position=self._history.next_position,
        )
        yield CallEnded(self._session_id, row, state, self._toolbox.changed_states())
        yield ToolCallResponse(
            agent_name=self._agent,
            tool_call_id=block["id"],
            tool_call=wire_tool_call(block),
            tool_definition=self._toolbox.definition(block["name"]),
            response=result.output,
            result=result.wire(),
            state=state,
        )
        yield MessageAdded(agent_name=self._agent, session_id=self._session_id)
        return row

    def begin(self, block: Block, tool: Tool, *, beside: bool = False) -> Generator[Step, Any, ApprovedCall]:
        """Hears the hooks; from then on the ledger says that the handler runs. RunCancelled."""
        output = self._view.output_of(block["id"], tool)
        if self._context.cancellation.is_set():
            raise RunCancelled()
        if beside:
            yield from self._approval.tell(block, tool)
        said = yield from self._hooks.before_call(block, tool)
        if said.blocked:
            return ApprovedCall(block, tool, output, blocked_words(said.reason))
        if said.arguments is not None:
            block = {**block, "input": said.arguments}
            if (verdict := self._approval.judge(block, tool)).outcome == "deny":
                return ApprovedCall(block, tool, output, verdict.words)
        yield CallStarting(self._session_id, block["id"], tool.name, beside)
        return ApprovedCall(as_begun(block), tool, output, is_changed=said.arguments is not None)

    def work(self, begun: ApprovedCall, cancellation: Cancellation) -> Outcome:
        """Runs the handler, on whatever thread this is called. Raises only ToolCancelled."""
        if begun.refusal:
            return ToolResult.error(begun.refusal)
        room = self._limit.room(begun.tool)
        context = replace(self._tool_context, cancellation=cancellation, room=room, output=begun.output)
        call = begun.tool.call if begun.is_changed else begun.tool.call_fitted
        try:
            return call(begun.block["input"], context)
        finally:
            begun.output.close()

    def finish(self, begun: ApprovedCall, work: Callable[[], Outcome]) -> Generator[Step, Any, Message]:
        """Tells that the call runs, waits for `work`, and stores and tells what came of it. RunCancelled, if that was
        why it ended."""
        block, tool = begun.block, begun.tool
        if begun.refusal:
            return (yield from self.end(block, ToolResult.error(begun.refusal), "rejected"))
        yield ToolCallStarted(
            agent_name=self._agent, tool_call=wire_tool_call(block), tool_definition=tool.definition()
        )
        begun.output.open()
        outcome = yield from self._outcome(block, tool, work)
        match outcome:
            case Elicitation():
                answer = yield from self._ask(block, outcome)
                result = _result_of(tool, answer)
            case Delegation():
                result = yield from self._delegate(block["id"], outcome)
            case ModelChange():
                result = yield from self._switch(outcome)
            case Handoff(target):
                self.handed_to = target
                result = ToolResult(handed_over(self._agent, self._context.team.agent(target)))
            case ToolResult():
                result = outcome
        return (yield from self._conclude(block, result))

    def _find(self, block: Block) -> Tool | None:
        return self._toolbox.find(block["name"]) if "called" not in block else None

    def _outcome(
        self, block: Block, tool: Tool, work: Callable[[], Outcome]
    ) -> Generator[Step, Any, Outcome]:
        """Waits for the handler, and brings it the answers to its questions, until it says how the call went."""
        try:
            outcome = work()
            while isinstance(outcome, Elicitation) and outcome.then is not None:
                answer = yield from self._ask(block, outcome)
                outcome = tool.go_on(outcome, answer.decision, answer.content)
        except ToolCancelled as cancelled:
            yield from self.end(block, ToolResult.error(str(cancelled) or CANCELLED), "cancelled")
            raise RunCancelled() from cancelled
        return outcome

    def _conclude(self, block: Block, result: ToolResult) -> Generator[Step, Any, Message]:
        """The call has its result; the agent's hooks hear of it."""
        result = self._view.masked(result)
        state: CallState = "failed" if result.is_error else "completed"
        result = yield from self._hooks.transformed(block, self._find(block), result)
        row = yield from self._store(block, result, "unknown" if result.is_unknown else state)
        if result.is_unknown and self._context.cancellation.is_set():
            raise RunCancelled()
        yield from self._hooks.after_call(block, self._find(block), result)
        return row

    def _ask(self, block: Block, asked: Elicitation) -> Generator[Step, Any, Answer]:
        """If no answer comes any more, the tool that waits for it is told."""
        if self._context.attended:
            self._hooks.tell_of_question()
        try:
            answer: Answer = yield elicitation(
                asked, session_id=self._session_id, agent=self._agent, call_id=block["id"], name=block["name"]
            )
        except BaseException:
            asked.abandon()
            raise
        return answer

    def _form(self, block: Block, known: ToolCall | None) -> Answer | None:
        """The answer that is the call's result: its handler ended with the question in another process. An older
        version leaves a `user_prompt` that was answered `running`."""
        if known is None or (known.state == "running" and known.name != "user_prompt"):
            return None
        return self._resumption.answer_to("elicitation", self._session_id, block["id"])


def _result_of(tool: Tool | None, answer: Answer) -> ToolResult:
    """The result that an answer becomes, as the tool that asked wants it."""
    become = answer_result if tool is None or tool.answered is None else tool.answered
    return become(answer.decision, answer.content)
