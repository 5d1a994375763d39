"""The loop: ask the model, store what it says, call its tools, go round.

A generator. It knows no thread, no database and no HTTP: it yields events for readers, facts to be stored and
questions to be answered (`app.agent.steps`), and learns that it should stop from a cancellation it is given.
It ends by returning, or with an exception that says how: RunCancelled, ModelFailed, ModelRefused.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from app.agent import catalogue
from app.agent.calling import TRUNCATED, UNREADABLE, Caller
from app.agent.context import LoopContext, Resumption
from app.agent.model import CallDelta, ModelError, ModelRequest, TextDelta, ThinkingDelta, Turn
from app.agent.partial_calls import PartialCalls
from app.agent.prompt import definition_digest, freeze
from app.agent.request import RequestBuilder
from app.agent.retry import stream_with_retries
from app.agent.steps import Ask, PromptFrozen, SafePoint, Step, TurnAdded, TurnRefused
from app.agent.toolbox import Toolbox
from app.agent.toolset import ToolResult
from app.conversation import events
from app.conversation.blocks import Block, calls, is_blank, plain_text, text_block
from app.conversation.events import Event
from app.conversation.healing import heal
from app.conversation.prompt import FrozenPrompt
from app.conversation.run import Question
from app.conversation.session import Session
from app.conversation.transcript import Message, Transcript
from app.errors import ModelFailed, ModelRefused, RunCancelled
from app.team.agent import Agent
from app.team.model import ModelSpec

MORE_ITERATIONS: Final = 10
MAX_PAUSES: Final = 10

Steps = Generator[Step, Any, None]


@dataclass(frozen=True, slots=True)
class _Said:
    """A turn as it entered the transcript."""

    stop_reason: str
    broken_calls: frozenset[str] = frozenset()


class AgentLoop:
    """One agent at work on one session for one run. Owned by the run's thread."""

    def __init__(
        self,
        context: LoopContext,
        session: Session,
        agent: Agent,
        rows: Sequence[Message],
        *,
        resumption: Resumption | None = None,
    ) -> None:
        self._context = context
        self._session = session
        self._agent = agent
        self._spec: ModelSpec = agent.models[0]
        self._transcript: Transcript = heal([row for row in rows if row.partial != "refused"])
        self._resumption = resumption or Resumption()
        self._toolbox: Toolbox = context.equip(session, agent)
        self._caller = Caller(context, session, agent.name, self._toolbox, self._resumption)
        self._builder: RequestBuilder | None = None
        self._cost = session.cost
        self._broken: frozenset[str] = frozenset()

    def run(self) -> Steps:
        """The whole stream of a run except its last event, which is sent when the session is free again."""
        try:
            if self._resumption.question is None:
                yield from self._prologue()
            yield from self._turns()
        finally:
            self._toolbox.stop()

    # ---- the beginning

    def _prologue(self) -> Steps:
        agent = self._agent
        yield events.AgentInfo(
            agent_name=agent.name,
            model=self._spec.id,
            description=agent.description,
            welcome_message=agent.welcome_message,
        )
        yield events.TeamInfo(
            agent_name=agent.name,
            available_agents=[team_member(member) for member in self._context.team.agents],
            current_agent=agent.name,
        )
        yield from self._listing()
        yield from self._user_message()
        yield events.StreamStarted(agent_name=agent.name, session_id=self._session.id)

    def _user_message(self) -> Steps:
        said = [row for row in self._transcript.rows if row.role == "user" and not row.implicit]
        if said:
            yield user_message_event(self._session.id, said[-1])

    def _listing(self) -> Steps:
        tools = self._toolbox.list_tools()
        if problems := self._toolbox.take_problems():
            details = "\n".join(f"- {problem}" for problem in problems)
            words = (
                f"Some toolsets failed to initialize for agent '{self._agent.name}'.\n\nDetails:\n\n{details}"
            )
            yield events.Warning(agent_name=self._agent.name, message=words)
        if self._toolbox.has_toolsets:
            yield events.McpInitStarted(agent_name=self._agent.name)
            yield events.McpInitFinished(agent_name=self._agent.name)
        yield events.ToolsetInfo(agent_name=self._agent.name, available_tools=len(tools))

    # ---- round and round

    def _turns(self) -> Steps:
        limit = self._session.max_iterations or self._agent.max_iterations
        iterations = pauses = 0
        if (asked := self._resumption.question) and asked.kind == "max_iterations":
            limit = iterations = asked.details["limit"]
        if self._resumption.question is not None:
            yield from self._listing()
        while True:
            yield from self._call_tools()
            yield from self._safe_point(ending=False)
            if not (iterations == 0 and self._resumption.question):
                yield from self._listing()
            if limit and iterations >= limit:
                if not (yield from self._may_go_on(limit)):
                    return
                limit = iterations + MORE_ITERATIONS
            iterations += 1
            said = yield from self._ask_model()
            self._broken = said.broken_calls
            if said.stop_reason == "pause_turn" and pauses < MAX_PAUSES:
                pauses += 1
            elif said.stop_reason != "tool_use" or not self._transcript.open_calls:
                yield from self._cut_calls(said)
                if not (yield from self._safe_point(ending=True)):
                    return

    def _call_tools(self) -> Steps:
        """Every call of the last turn, in the model's order. Also goes on where a dead process stopped."""
        if not self._transcript.open_calls:
            return
        last = next(row for row in reversed(self._transcript.rows) if row.role == "assistant")
        for block in last.calls:
            if block["id"] not in self._transcript.open_calls:
                continue
            if self._context.cancellation.is_set():
                raise RunCancelled()
            if block["id"] in self._broken:
                row = yield from self._caller.end(block, ToolResult.error(UNREADABLE), "failed")
            else:
                row = yield from self._caller.call(block)
            self._transcript = self._transcript.add(row)

    def _cut_calls(self, said: _Said) -> Steps:
        """A turn that ended for another reason than its calls: they may be cut, so none of them runs."""
        if said.stop_reason in ("max_tokens", "model_context_window_exceeded"):
            words = "The answer was cut off: it reached the limit of what the model may write."
            if said.stop_reason == "model_context_window_exceeded":
                words = "The answer was cut off: the model's context window is full."
            yield events.Warning(agent_name=self._agent.name, message=words)
        last = self._transcript.rows[-1] if self._transcript.rows else None
        for block in last.calls if last and self._transcript.open_calls else ():
            row = yield from self._caller.end(block, ToolResult.error(TRUNCATED), "failed")
            self._transcript = self._transcript.add(row)

    def _safe_point(self, *, ending: bool) -> Generator[Step, Any, bool]:
        """Lets new user messages in; says whether there were any."""
        if self._context.cancellation.is_set():
            raise RunCancelled()
        arrived: Sequence[Message] = (yield SafePoint(self._session.id, ending)) or ()
        for row in arrived:
            self._transcript = self._transcript.add(row)
        return bool(arrived)

    def _may_go_on(self, limit: int) -> Generator[Step, Any, bool]:
        answer = self._resumption.answer
        if not (self._resumption.question and self._resumption.question.kind == "max_iterations" and answer):
            question = Question("max_iterations", session_id=self._session.id, details={"limit": limit})
            answer = yield Ask(question, events.MaxIterationsReached(max_iterations=limit))
        self._resumption = Resumption()
        if answer is not None and answer.decision == "approve":
            return True
        words = f"Execution stopped after reaching the configured max_iterations limit ({limit})."
        yield from self._add(self._assistant((text_block(words),), stop_reason="end_turn"))
        yield events.MessageAdded(agent_name=self._agent.name, session_id=self._session.id)
        return False

    # ---- one turn of the model

    def _ask_model(self) -> Generator[Step, Any, _Said]:
        """Streams one turn and stores it. ModelFailed, ModelRefused, RunCancelled keep what may be kept."""
        for renewal in ("", "thinking-mismatch"):
            prompt = yield from self._prompt(renewal)
            partials = PartialCalls(self._agent.name, self._caller.definition)
            turn: Turn | None = None
            try:
                for event in stream_with_retries(
                    self._context.client, self._request(prompt), self._context.cancellation
                ):
                    match event:
                        case TextDelta(text):
                            yield events.AgentChoice(
                                agent_name=self._agent.name, content=text, session_id=self._session.id
                            )
                        case ThinkingDelta(text):
                            yield events.AgentChoiceReasoning(
                                agent_name=self._agent.name, content=text, session_id=self._session.id
                            )
                        case CallDelta():
                            yield from partials.add(event)
                        case Turn():
                            turn = event
            except ModelError as error:
                if error.kind == "thinking_mismatch" and not renewal:
                    continue
                yield from self._failed(error, prompt)
            if turn is not None:
                return (yield from self._take(turn, prompt))
        raise ModelFailed("the model's stream ended without a turn")

    def _request(self, prompt: FrozenPrompt) -> ModelRequest:
        if self._builder is None or self._builder.prompt != prompt:
            self._builder = RequestBuilder(prompt)
        known = catalogue.facts(self._spec.model)
        max_tokens = self._spec.max_tokens or known.max_output or catalogue.DEFAULT_MAX_TOKENS
        options: Mapping[str, Any] = {}
        if self._context.look(self._session.id).thinking:
            options = catalogue.thinking_options(
                self._spec.model, self._spec.thinking_budget, max_tokens=max_tokens
            )
        return self._builder.build(
            self._transcript.rows,
            model=self._spec.model,
            max_tokens=max_tokens,
            options=options,
            base_url=self._spec.base_url,
        )

    def _prompt(self, renewal: str) -> Generator[Step, Any, FrozenPrompt]:
        """This session's frozen prompt for this agent; made and stored when there is none yet."""
        tools = self._toolbox.tools
        definition = definition_digest(self._context.team, self._agent, self._spec.model, tools, renewal)
        prompt = self._context.find_prompt(self._session.id, self._agent.name, definition)
        if prompt is None:
            prompt = freeze(
                self._agent,
                self._context.team,
                model=self._spec.model,
                tools=tools,
                toolset_instructions=self._toolbox.instructions,
                surroundings=self._context.surroundings(self._session, self._agent),
                definition=definition,
            )
            yield PromptFrozen(self._session.id, prompt)
        return prompt

    def _take(self, turn: Turn, prompt: FrozenPrompt) -> Generator[Step, Any, _Said]:
        """A whole turn enters the transcript."""
        if turn.stop_reason == "refusal":
            if self._transcript.rows[-1].role == "user":
                yield TurnRefused(self._session.id)
            raise ModelRefused(_refusal(turn))
        content, broken = self._with_free_ids(turn)
        if content:
            message = self._assistant(content, stop_reason=turn.stop_reason, turn=turn, prompt=prompt)
            yield from self._add(message)
            yield events.MessageAdded(agent_name=self._agent.name, session_id=self._session.id)
        yield self._token_usage(turn, whole=bool(content))
        return _Said(turn.stop_reason, broken)

    def _failed(self, error: ModelError, prompt: FrozenPrompt) -> Steps:
        """Keeps of a cut turn what may be kept, and ends the run. Its calls are closed when the run is."""
        if error.partial is not None:
            content, _ = self._with_free_ids(error.partial)
            if content:
                reason = "cancelled" if error.kind == "cancelled" else "failed"
                message = self._assistant(
                    content, stop_reason="", turn=error.partial, prompt=prompt, partial=reason
                )
                yield from self._add(message)
                yield events.MessageAdded(agent_name=self._agent.name, session_id=self._session.id)
        if error.kind == "cancelled":
            raise RunCancelled() from error
        raise ModelFailed(f"all models failed: {error}") from error

    def _with_free_ids(self, turn: Turn) -> tuple[tuple[Block, ...], frozenset[str]]:
        """The turn's blocks, each call under an id that this session has not used yet."""
        wanted = [str(block.get("id") or "") for block in calls(turn.content)]
        free = iter(self._transcript.free_ids(wanted))
        content, broken = [], set()
        for block in turn.content:
            if block.get("type") == "tool_use":
                call_id = next(free)
                if block.get("id") in turn.broken_calls:
                    broken.add(call_id)
                content.append(block if block.get("id") == call_id else {**block, "id": call_id})
            elif not is_blank(block):
                content.append(block)
        return tuple(content), frozenset(broken)

    def _assistant(
        self,
        content: tuple[Block, ...],
        *,
        stop_reason: str,
        turn: Turn | None = None,
        prompt: FrozenPrompt | None = None,
        partial: str = "",
    ) -> Message:
        usage = turn.usage if turn else None
        return Message(
            "assistant",
            content,
            agent=self._agent.name,
            prompt=prompt.digest if prompt else "",
            created_at=self._context.now(),
            partial=partial,
            stop_reason=stop_reason,
            usage=usage,
            model=(turn.model if turn else "") or self._spec.id,
            cost=catalogue.cost(self._spec.model, usage) if usage else 0.0,
        )

    def _add(self, message: Message) -> Steps:
        usage = message.usage
        self._transcript = self._transcript.add(message)
        self._cost += message.cost
        tokens = (usage.prompt_tokens, usage.output_tokens) if usage else None
        yield TurnAdded(self._session.id, message, tokens)

    def _token_usage(self, turn: Turn, *, whole: bool) -> Event:
        usage = turn.usage
        if usage is None:
            return events.TokenUsage(agent_name=self._agent.name, session_id=self._session.id, usage=None)
        body: dict[str, Any] = {
            "input_tokens": usage.prompt_tokens,
            "output_tokens": usage.output_tokens,
            "context_length": usage.context_tokens,
            "context_limit": catalogue.facts(self._spec.model).window,
            "cost": self._cost,
        }
        if whole:
            body["last_message"] = {
                "input_tokens": usage.input_tokens,
                "output_tokens": usage.output_tokens,
                "cached_input_tokens": usage.cache_read_tokens,
                "cached_write_tokens": usage.cache_write_tokens,
                "Cost": catalogue.cost(self._spec.model, usage),
                "Model": turn.model or self._spec.id,
            }
        return events.TokenUsage(agent_name=self._agent.name, session_id=self._session.id, usage=body)


def team_member(agent: Agent) -> dict[str, Any]:
    """One entry of `team_info`; the model comes without its provider here."""
    member: dict[str, Any] = {
        "name": agent.name,
        "description": agent.description,
        "provider": agent.models[0].provider,
        "model": agent.models[0].model,
    }
    if agent.commands:
        member["commands"] = {
            name: command.model_dump(exclude_defaults=True) for name, command in agent.commands.items()
        }
    return member


def user_message_event(session_id: str, row: Message, *, message_id: str = "") -> Event:
    return events.UserMessage(
        message=plain_text(row.content),
        multi_content=wire_parts(row.content) if any(b.get("type") != "text" for b in row.content) else (),
        session_id=session_id,
        session_position=row.position,
        message_id=message_id,
    )


def wire_parts(blocks: Sequence[Block]) -> list[dict[str, Any]]:
    """A user message's blocks as the contract's parts."""
    parts: list[dict[str, Any]] = []
    for block in blocks:
        source = block.get("source") or {}
        if block.get("type") == "text":
            parts.append({"type": "text", "text": block["text"]})
        elif block.get("type") == "image" and source.get("type") == "base64":
            url = f"data:{source['media_type']};base64,{source['data']}"
            parts.append({"type": "image_url", "image_url": {"url": url}})
        elif block.get("type") == "image" and source.get("type") == "url":
            parts.append({"type": "image_url", "image_url": {"url": source["url"]}})
    return parts


def _refusal(turn: Turn) -> str:
    explanation = (turn.stop_details or {}).get("explanation")
    return f"The model refused to answer this.{f' {explanation}' if explanation else ''}"
