"""One turn of the model: the request, the stream, and what enters the transcript of it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from app.agent import catalogue
from app.agent.calling import Caller
from app.agent.context import LoopContext
from app.agent.model import CallDelta, ModelError, ModelRequest, TextDelta, ThinkingDelta, Turn
from app.agent.partial_calls import PartialCalls
from app.agent.prompt import definition_digest, freeze
from app.agent.request import RequestBuilder
from app.agent.retry import stream_with_retries
from app.agent.steps import PromptFrozen, Step, TurnAdded, TurnRefused
from app.agent.toolbox import Toolbox
from app.conversation import events
from app.conversation.blocks import Block, calls, is_blank, is_thinking
from app.conversation.events import Event
from app.conversation.prompt import FrozenPrompt
from app.conversation.session import Session
from app.conversation.transcript import Message, Transcript
from app.errors import ModelFailed, ModelRefused, RunCancelled
from app.team.agent import Agent

Asking = Generator[Step, Any, "Said"]


@dataclass(frozen=True, slots=True)
class Said:
    """A turn as it entered the transcript. `broken_calls` have arguments that are not JSON."""

    transcript: Transcript
    stop_reason: str
    broken_calls: frozenset[str] = frozenset()


class Speaker:
    """Lets one agent of one session speak, turn by turn. Owned by the run's thread."""

    def __init__(
        self, context: LoopContext, session: Session, agent: Agent, toolbox: Toolbox, caller: Caller
    ) -> None:
        self._context = context
        self._session = session
        self._agent = agent
        self._spec = agent.models[0]
        self._toolbox = toolbox
        self._caller = caller
        self._transcript = Transcript()
        self._builder: RequestBuilder | None = None
        self._prompt_in_use: FrozenPrompt | None = None
        self._cost = session.cost
        self._renewals = 0  # how often the API refused thinking made under an earlier prompt

    def ask(self, transcript: Transcript) -> Asking:
        """Streams one turn and stores it. ModelFailed, ModelRefused, RunCancelled keep what may be kept."""
        self._transcript = transcript
        name, session_id = self._agent.name, self._session.id
        for attempt in range(2):
            prompt = yield from self._prompt()
            partials = PartialCalls(name, self._caller.definition)
            turn: Turn | None = None
            try:
                for event in stream_with_retries(
                    self._context.client, self._request(prompt), self._context.cancellation
                ):
                    match event:
                        case TextDelta(text):
                            yield events.AgentChoice(agent_name=name, content=text, session_id=session_id)
                        case ThinkingDelta(text):
                            yield events.AgentChoiceReasoning(
                                agent_name=name, content=text, session_id=session_id
                            )
                        case CallDelta():
                            yield from partials.add(event)
                        case Turn():
                            turn = event
            except ModelError as error:
                if error.kind == "thinking_mismatch" and attempt == 0:
                    self._renewals += 1
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
        options: dict[str, Any] = {}
        if self._context.look(self._session.id).thinking:
            options |= catalogue.thinking_options(
                self._spec.model, self._spec.thinking_budget, max_tokens=max_tokens
            )
        if prompt.tools and not self._toolbox.tools:
            options["tool_choice"] = {"type": "none"}
        return self._builder.build(
            self._transcript.rows,
            model=self._spec.model,
            max_tokens=max_tokens,
            options=options,
            base_url=self._spec.base_url,
        )

    def _prompt(self) -> Generator[Step, Any, FrozenPrompt]:
        """This session's frozen prompt for this agent; made and stored when there is none yet.

        A prompt under which the API refused the thinking was renewed, and the newest counts: the older one
        would be refused in every later turn.
        """
        if self._prompt_in_use is not None and self._prompt_in_use.definition == self._definition(
            self._renewals
        ):
            return self._prompt_in_use
        prompt = self._find_prompt(self._renewals)
        while prompt is not None and (newer := self._find_prompt(self._renewals + 1)) is not None:
            prompt, self._renewals = newer, self._renewals + 1
        if prompt is None:
            tools = self._toolbox.tools
            prompt = freeze(
                self._agent,
                self._context.team,
                model=self._spec.model,
                tools=tools,
                toolset_instructions=self._toolbox.instructions,
                surroundings=self._context.surroundings(self._session, self._agent),
                definition=self._definition(self._renewals),
                calls_of_others=self._calls_of_others,
            )
            yield PromptFrozen(self._session.id, prompt)
        self._prompt_in_use = prompt
        return prompt

    def _find_prompt(self, renewals: int) -> FrozenPrompt | None:
        return self._context.find_prompt(self._session.id, self._agent.name, self._definition(renewals))

    def _definition(self, renewals: int) -> str:
        renewal = f"thinking refused {renewals} times" if renewals else ""
        renewal += "calls-of-others" if self._calls_of_others else ""
        return definition_digest(
            self._context.team, self._agent, self._spec.model, self._toolbox.tools, renewal
        )

    @property
    def _calls_of_others(self) -> bool:
        return not self._toolbox.tools and any(row.calls for row in self._transcript.rows)

    def say(self, transcript: Transcript, content: tuple[Block, ...]) -> Asking:
        """Words that the server puts into the agent's mouth."""
        self._transcript = transcript
        yield from self._add(self._assistant(content, stop_reason="end_turn"))
        yield events.MessageAdded(agent_name=self._agent.name, session_id=self._session.id)
        return Said(self._transcript, "end_turn")

    def _take(self, turn: Turn, prompt: FrozenPrompt) -> Asking:
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
        return Said(self._transcript, turn.stop_reason, broken)

    def _failed(self, error: ModelError, prompt: FrozenPrompt) -> Generator[Step, Any, None]:
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
        """The turn's blocks, each call under an id that this session has not used yet.

        Thinking behind a call that had to be renamed was signed over the name that the model gave it.
        """
        wanted = [str(block.get("id") or "") for block in calls(turn.content)]
        free = iter(self._transcript.free_ids(wanted))
        content, broken, renamed = [], set(), False
        for block in turn.content:
            if block.get("type") == "tool_use":
                call_id = next(free)
                renamed = renamed or block.get("id") != call_id
                if block.get("id") in turn.broken_calls:
                    broken.add(call_id)
                content.append(block if block.get("id") == call_id else {**block, "id": call_id})
            elif not is_blank(block) and not (renamed and is_thinking(block)):
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

    def _add(self, message: Message) -> Generator[Step, Any, None]:
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


def _refusal(turn: Turn) -> str:
    explanation = (turn.stop_details or {}).get("explanation")
    return f"The model refused to answer this.{f' {explanation}' if explanation else ''}"
