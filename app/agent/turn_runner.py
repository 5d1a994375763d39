"""One turn of the model, and what enters the transcript of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from app.agent import model_catalogue
from app.agent.history import History
from app.agent.loop_context import LoopContext
from app.agent.loop_events import agent_info
from app.agent.loop_steps import Step, Steps, TurnAdded, TurnRefused
from app.agent.model_caller import ModelAnswer, ModelCaller
from app.agent.model_client import ModelError, Turn
from app.agent.model_price import cost_of
from app.agent.redaction import redacted_value
from app.conversation import events
from app.conversation.blocks import Block, calls, is_blank, is_thinking, text_block
from app.conversation.events import Event
from app.conversation.session import Session
from app.conversation.transcript import Message
from app.errors import ContextFull, ModelFailed, ModelRefused, RunCancelled
from app.team.agent import Agent
from app.team.model_definition import ModelSpec

Asking = Generator[Step, Any, "Said"]

_FINISH_REASONS: Final = {
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
}
"""In docker-agent's words; any other end is a `stop`."""


class WindowExceeded(Exception):
    """The conversation does not fit into the model's window. `failure` is how the run ends if nothing is done."""

    def __init__(self, failure: ContextFull) -> None:
        super().__init__(failure.message)
        self.failure = failure


class PictureRefused(Exception):
    """The API refused a picture of the conversation. `failure` is how the run ends if nothing is done."""

    def __init__(self, failure: ModelFailed) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Room(Protocol):
    """What can be left out of a conversation, so that the model takes it."""

    @property
    def is_newest_too_long(self) -> bool: ...
    def recover(self) -> Generator[Step, Any, bool]: ...
    def leave_out_refused(self, why: str, /) -> Generator[Step, Any, bool]: ...


@dataclass(frozen=True, slots=True)
class Said:
    """How a turn ended. `broken_calls` have arguments that are not JSON."""

    stop_reason: str
    broken_calls: frozenset[str] = frozenset()


class TurnRunner:
    """Lets one agent of one session speak, turn by turn. Owned by the run's thread."""

    def __init__(
        self,
        context: LoopContext,
        session: Session,
        agent: Agent,
        history: History,
        model_caller: ModelCaller,
    ) -> None:
        self._context = context
        self._session = session
        self._agent = agent
        self._history = history
        self._model_caller = model_caller
        self._told = agent.models[0]  # the one that readers were told of

    def speak(self, first: Sequence[ModelSpec], room: Room, relist: Callable[[], Steps]) -> Asking:
        """One turn. A conversation that turns out to be too long for the model is compacted, and one with a picture
        that the API refuses goes on without it; each once. ModelFailed, ModelRefused, RunCancelled."""
        try:
            return (yield from self.ask(first))
        except WindowExceeded as exceeded:
            if not (yield from room.recover()):
                raise (yield from self._failed(exceeded, room)) from exceeded
        except PictureRefused as refused:
            if not (yield from room.leave_out_refused(str(refused))):
                raise refused.failure from refused
        yield from relist()
        try:
            return (yield from self.ask(first))
        except WindowExceeded as again:
            raise (yield from self._failed(again, room)) from again
        except PictureRefused as again:
            raise again.failure from again

    def _failed(self, exceeded: WindowExceeded, room: Room) -> Generator[Step, Any, ContextFull]:
        """A message that does not fit by itself is not sent again: no later run would have room for it."""
        if room.is_newest_too_long:
            yield TurnRefused(self._session.id)
        return exceeded.failure

    def ask(self, first: Sequence[ModelSpec] = ()) -> Asking:
        """Streams one turn and stores it; of one of the models that come `first`, if there are any, before the
        agent's own. ModelFailed, ModelRefused, RunCancelled keep what may be kept; WindowExceeded if nothing was
        said because there was no room for it, PictureRefused if that was because of a picture."""
        if not first:
            return (yield from self._ask(()))
        model = random.choice(first)
        before = self._told
        yield from self._tell_model(model)
        said = yield from self._ask((model,))
        yield from self._tell_model(before)
        return said

    def _ask(self, first: Sequence[ModelSpec]) -> Asking:
        try:
            asked = yield from self._model_caller.ask(first)
        except ModelError as error:
            yield from self._keep_partial(error)
            if error.kind == "cancelled":
                raise RunCancelled() from error
            if error.kind == "picture_refused" and not error.shown:
                raise PictureRefused(_failure(error)) from error
            if error.kind == "overflow" and not error.shown:
                raise WindowExceeded(ContextFull(f"{ContextFull.__doc__} {error}")) from error
            raise _failure(error) from error
        yield from self._tell_model(asked.spec)
        return (yield from self._take(asked))

    def say(self, words: str, *, aloud: bool) -> Asking:
        """Words that the server puts into the agent's mouth; `aloud`: readers are told of them, as of a model's."""
        message = self._assistant((text_block(words),), stop_reason="end_turn")
        if aloud:
            yield events.AgentChoice(
                agent_name=self._agent.name,
                content=words,
                session_id=self._session.id,
                message_id=message.id,
            )
        yield from self._add(message)
        yield events.MessageAdded(agent_name=self._agent.name, session_id=self._session.id)
        return Said("end_turn")

    def _tell_model(self, spec: ModelSpec) -> Steps:
        """When another model speaks than the one that readers know of."""
        if spec.id != self._told.id:
            self._told = spec
            yield agent_info(self._agent, spec)

    def _take(self, asked: ModelAnswer) -> Asking:
        """A whole turn enters the transcript."""
        turn = asked.turn
        refused = turn.stop_reason == "refusal"
        content, broken = ((), frozenset[str]()) if refused else self._with_free_ids(turn)
        if content:
            yield from self._model_caller.settle()
        else:
            yield from self._model_caller.settle(asked.cost, turn.usage)
        if refused:
            yield self._token_usage(asked, whole=False)
            if self._history.rows[-1].role == "user":
                yield TurnRefused(self._session.id)
            raise ModelRefused(_refusal(turn), **(turn.stop_details or {}))
        if content:
            message = self._assistant(content, stop_reason=turn.stop_reason, asked=asked)
            yield from self._add(message, broken, priced=asked.spec.cost is not None)
            yield events.MessageAdded(agent_name=self._agent.name, session_id=self._session.id)
        yield self._token_usage(asked, whole=bool(content))
        if budgets := self._context.budgets.readings(self._agent):
            yield events.BudgetUsage(
                agent_name=self._agent.name, session_id=self._session.id, budgets=budgets
            )
        return Said(turn.stop_reason, broken)

    def _keep_partial(self, error: ModelError) -> Steps:
        """Keeps of a cut turn what may be kept. Its calls are closed when the run is."""
        content: tuple[Block, ...] = ()
        if error.partial is not None and self._model_caller.asking is not None:
            content, _ = self._with_free_ids(error.partial)
        if not content or error.partial is None or self._model_caller.asking is None:
            yield from self._model_caller.settle()
            return
        reason = "cancelled" if error.kind == "cancelled" else "failed"
        asked = ModelAnswer(error.partial, *self._model_caller.asking)
        yield from self._add(self._assistant(content, stop_reason="", asked=asked, partial=reason))
        yield events.MessageAdded(agent_name=self._agent.name, session_id=self._session.id)
        yield from self._model_caller.settle(-asked.cost)

    def _with_free_ids(self, turn: Turn) -> tuple[tuple[Block, ...], frozenset[str]]:
        """The turn's blocks, each call under an id that this session has not used yet.

        Thinking behind a call that had to be renamed was signed over the name that the model gave it.
        """
        wanted = [str(block.get("id") or "") for block in calls(turn.content)]
        free = iter(self._history.free_ids(wanted))
        content, broken, renamed = [], set(), False
        for block in turn.content:
            if block.get("type") == "tool_use":
                call_id = next(free)
                if (
                    self._agent.redact_secrets
                    and (masked := redacted_value(block["input"])) is not block["input"]
                ):
                    block, renamed = {**block, "input": masked}, True
                renamed = renamed or block.get("id") != call_id or "called" in block
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
        asked: ModelAnswer | None = None,
        partial: str = "",
    ) -> Message:
        usage = asked.turn.usage if asked else None
        return Message(
            "assistant",
            content,
            agent=self._agent.name,
            prompt=asked.prompt.digest if asked else "",
            partial=partial,
            stop_reason=stop_reason,
            usage=usage,
            model=(asked.turn.model or asked.spec.id) if asked else "",
            cost=asked.cost if asked else 0.0,
            position=self._history.next_position,
            id=self._model_caller.message_id if asked else self._context.new_id(),
        )

    def _add(self, message: Message, broken: frozenset[str] = frozenset(), *, priced: bool = True) -> Steps:
        self._history.add(message)
        self._history.cost += message.cost
        self._context.budgets.spend(self._agent, message.usage, message.cost, priced=priced)
        tokens = message.usage.read_and_written if message.usage else None
        yield TurnAdded(self._session.id, message, tokens, broken)

    def _token_usage(self, asked: ModelAnswer, *, whole: bool) -> Event:
        usage, spec = asked.turn.usage, asked.spec
        if usage is None:
            return events.TokenUsage(
                agent_name=self._agent.name, session_id=self._session.id, usage=None, timing=asked.timing
            )
        body: dict[str, Any] = {
            "input_tokens": usage.prompt_tokens,
            "output_tokens": usage.output_tokens,
            "context_length": usage.context_tokens,
            "context_limit": model_catalogue.facts(spec.model).window,
            "cost": self._history.cost,
        }
        if whole:
            body["last_message"] = {
                "input_tokens": usage.input_tokens,
                "output_tokens": usage.output_tokens,
                "cached_input_tokens": usage.cache_read_tokens,
                "cached_write_tokens": usage.cache_write_tokens,
                "Cost": cost_of(spec, usage),
                "Model": asked.turn.model or spec.id,
                "finish_reason": _FINISH_REASONS.get(asked.turn.stop_reason, "stop"),
            }
        return events.TokenUsage(
            agent_name=self._agent.name, session_id=self._session.id, usage=body, timing=asked.timing
        )


def _refusal(turn: Turn) -> str:
    explanation = (turn.stop_details or {}).get("explanation")
    return f"The model refused to answer this.{f' {explanation}' if explanation else ''}"


def _failure(error: ModelError) -> ModelFailed:
    return ModelFailed(f"all models failed: {error}", status=error.status)
