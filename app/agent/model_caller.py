"""One call of an agent's model: the prompt, the request, and what comes back as events."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from app.agent import model_catalogue
from app.agent.fallback import ModelChain, RetryPatience
from app.agent.history import History
from app.agent.loop_context import LoopContext
from app.agent.loop_steps import ModelAsked, ModelRetried, Spent, Step, Steps
from app.agent.model_client import (
    Again,
    CallDelta,
    ModelError,
    ModelEvent,
    ModelRequest,
    Retrying,
    TextDelta,
    ThinkingDelta,
    Turn,
)
from app.agent.model_price import cost_of
from app.agent.partial_calls import PartialCalls
from app.agent.prompt_cache import PromptCache
from app.agent.redaction import Redaction, redacted_row
from app.agent.request_builder import RequestBuilder, named_rows
from app.agent.retry import MAX_DELAY, stream_with_retries
from app.agent.toolbox import Toolbox
from app.agent.turn_options import most_tokens, sampling_options, thinking_options, turn_options
from app.conversation import events
from app.conversation.events import Event, Json
from app.conversation.frozen_prompt import FrozenPrompt
from app.conversation.old_results import Shown, with_old_results_cut
from app.conversation.recent_messages import recent
from app.conversation.session import Session
from app.conversation.transcript import Message
from app.conversation.usage import Usage
from app.errors import UnpricedModel
from app.team.agent import Agent
from app.team.model_definition import ModelSpec

SUMMARY_TOKENS: Final = 16_000  # at most, what is thought for it included
TASK_BUDGETS: Final = ("task-budgets-2026-03-13",)  # the beta that a model with such a budget needs


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """A model's answer, with the model and the prompt that it came from."""

    turn: Turn
    spec: ModelSpec
    prompt: FrozenPrompt
    timing: Json | None = None  # as `TokenUsage` tells it

    @property
    def cost(self) -> float:
        """In dollars; 0 if the price is not known."""
        return cost_of(self.spec, self.turn.usage)


class ModelCaller:
    """Asks the models of one agent in one session. Owned by the run's thread.

    `asking` is the model and the prompt of the call under way, or of the last one; `message_id` names what the model
    says in it.
    """

    def __init__(
        self,
        context: LoopContext,
        session: Session,
        agent: Agent,
        toolbox: Toolbox,
        history: History,
        definition: Callable[[str], Json],
    ) -> None:
        self.chain = ModelChain(context.cooldowns, session.id, agent)
        self.asking: tuple[ModelSpec, FrozenPrompt] | None = None
        self._context = context
        self._session = session
        self._agent = agent
        self._toolbox = toolbox
        self._history = history
        self._definition = definition
        self._prompt_cache = PromptCache(context, session, agent, toolbox, history)
        self.message_id = ""
        self._redaction = Redaction() if agent.redacts_prompts else None
        self._failures = 0  # attempts of the call under way
        self._began_at = 0.0  # monotonic, of the attempts of one model
        self._first_at: float | None = None  # when the first piece of it came
        self._wasted = 0.0  # dollars that failed calls have cost and nobody was told of yet
        self._builders: dict[str, tuple[int, RequestBuilder]] = {}  # by the prompt's digest

    def ask(self, first: Sequence[ModelSpec] = ()) -> Generator[Step, Any, ModelAnswer]:
        """The next turn of the conversation, its deltas as events; `first` come before the agent's own models.
        ModelError if no model could say it."""
        self._failures = 0
        return (yield from self.chain.ask(self._attempt, before=first))

    def ask_about(
        self, rows: Sequence[Message], first: Sequence[ModelSpec] = (), *, prompt: FrozenPrompt | None = None
    ) -> Generator[Step, Any, ModelAnswer]:
        """Something else about the conversation, of which nothing is shown to readers; no tool can be called. `first`
        come before the agent's own models. With a `prompt` it is another conversation."""

        def attempt(spec: ModelSpec, patience: RetryPatience) -> Generator[Step, Any, ModelAnswer]:
            under = prompt or (yield from self._prompt_cache.frozen(spec))
            request = self._aside(rows, spec, under)
            for event in self._stream(spec, request, patience):
                if isinstance(event, Turn):
                    return ModelAnswer(event, spec, under)
            raise ModelError("the model's stream ended without a turn", kind="final")

        return (yield from self.chain.ask(attempt, before=first))

    def named_rows(self, words: str) -> list[Message]:
        """The rows that the API meant when it refused the last request in these words."""
        if self.asking is None:
            return []
        return named_rows(self._shown_rows().rows, self.asking[1], words)

    def _shown_rows(self) -> Shown:
        rows: Sequence[Message] = self._history.rows
        if self._redaction is not None:
            rows = self._redaction.rows(rows)
        return self._cut(recent(rows, self._agent.num_history_items))

    def _cut(self, rows: Sequence[Message]) -> Shown:
        return with_old_results_cut(rows, self._agent.max_old_tool_call_tokens)

    def _attempt(self, spec: ModelSpec, patience: RetryPatience) -> Generator[Step, Any, ModelAnswer]:
        for renewed in (False, True):
            prompt = yield from self._prompt_cache.frozen(spec)
            self.asking = (spec, prompt)
            self.message_id = self._context.new_id()
            self._began_at, self._first_at = time.monotonic(), None
            try:
                request = replace(self._request(spec, prompt), show=self._show)
                yield ModelAsked(self._session.id, self.message_id)
                turn = yield from self._shown(self._stream(spec, request, patience))
            except ModelError as error:
                if error.kind != "thinking_mismatch" or renewed:
                    raise
                self._prompt_cache.renew(spec)
                continue
            return ModelAnswer(turn, spec, prompt, self._timing())
        raise ModelError("the model refuses its own thinking", kind="final")

    def _timing(self) -> Json:
        now = time.monotonic()
        first = now if self._first_at is None else self._first_at
        return {
            "message_id": self.message_id,
            "seconds": round(now - self._began_at, 3),
            "first_seconds": round(first - self._began_at, 3),
            "retries": self._failures,
        }

    def settle(self, more: float = 0.0, usage: Usage | None = None) -> Steps:
        """Tells what failed calls have cost since the last time, and `more`; call it after each question. The cost
        of a failed call whose message was kept is stored with that message, and taken off here: a negative `more`.
        `usage` is that of a whole turn of which no message is stored."""
        cost, self._wasted = max(0.0, self._wasted + more), 0.0
        if cost or usage is not None:
            self._history.cost += cost
            self._context.budgets.spend(self._agent, usage, cost)
            yield Spent(self._session.id, cost, usage.read_and_written if usage else None)

    def _waste(self, spec: ModelSpec, error: ModelError) -> None:
        self._failures += 1
        self._wasted += cost_of(spec, error.usage)

    def _stream(
        self, spec: ModelSpec, request: ModelRequest, patience: RetryPatience
    ) -> Iterator[ModelEvent]:
        """ModelError, also before anything is sent: for a model without a known price, where a budget applies."""
        try:
            if spec.cost is None:
                self._context.check_price(spec.model)
        except UnpricedModel as error:
            raise ModelError(error.message, kind="final") from None
        return stream_with_retries(
            self._context.client,
            replace(request, held=partial(self._held, spec, patience)),
            self._context.cancellation,
            retries=patience.retries,
            waits_for_limits=patience.waits_for_limits,
            failed=partial(self._waste, spec),
        )

    def _held(self, spec: ModelSpec, patience: RetryPatience, seconds: float) -> bool:
        """Is the call made after so many seconds? A short hold is waited out like any retry."""
        if seconds > MAX_DELAY:
            if not patience.waits_for_limits:
                return False
            words = f"The API of {spec.id} wants to be left alone; the next call is held for {seconds:.0f} s."
            self._context.publish(events.Warning(agent_name=self._agent.name, message=words))
        return True

    def _shown(self, stream: Iterator[ModelEvent]) -> Generator[Step, Any, Turn]:
        partials = PartialCalls(
            self._agent.name,
            self._definition,
            ids=self._history.ids_to_come,
            hidden=self._agent.redact_secrets,
        )
        for event in stream:
            match event:
                case TextDelta() | ThinkingDelta():
                    yield self._told(event)
                case CallDelta():
                    self._first_at = self._first_at or time.monotonic()
                    yield from partials.add(event)
                case Retrying(words, status):
                    yield ModelRetried(self._session.id, words, status)
                case Again():
                    yield ModelAsked(self._session.id, self.message_id)
                case Turn():
                    return event
        raise ModelError("the model's stream ended without a turn", kind="final")

    def _show(self, delta: TextDelta | ThinkingDelta) -> None:
        """Shows the events that the stream itself would have brought, without a step of the loop; on whichever
        thread reads."""
        self._context.publish(self._told(delta))

    def _told(self, delta: TextDelta | ThinkingDelta) -> Event:
        if self._first_at is None:
            self._first_at = time.monotonic()
        kind = events.AgentChoice if isinstance(delta, TextDelta) else events.AgentChoiceReasoning
        return kind(
            agent_name=self._agent.name,
            content=delta.text,
            session_id=self._session.id,
            message_id=self.message_id,
        )

    # ---- requests

    def _request(self, spec: ModelSpec, prompt: FrozenPrompt) -> ModelRequest:
        shown = self._shown_rows()
        rows = shown.rows
        max_tokens = most_tokens(spec, self._history.fill)
        options = turn_options(
            self._agent,
            spec,
            prompt,
            rows,
            thinks=self._thinks,
            has_tools=bool(self._toolbox.tools),
            max_tokens=max_tokens,
        )
        request = self._builder(prompt, shown.since).build(
            rows, model=spec.model, max_tokens=max_tokens, options=options, base_url=spec.base_url
        )
        return replace(request, betas=TASK_BUDGETS) if spec.task_budget else request

    def _builder(self, prompt: FrozenPrompt, since: int) -> RequestBuilder:
        """One that goes on where it was, as long as what is shown of the conversation only grows."""
        if self._agent.num_history_items:
            return RequestBuilder(prompt)
        shown_since, builder = self._builders.get(prompt.digest, (-1, None))
        if builder is None or shown_since != since:
            builder = RequestBuilder(prompt, self._history.kept)
            self._builders[prompt.digest] = (since, builder)
        return builder

    def _aside(self, rows: Sequence[Message], spec: ModelSpec, prompt: FrozenPrompt) -> ModelRequest:
        """As like the conversation's own requests as can be: what they have put into the cache is read from it."""
        options = thinking_options(spec, SUMMARY_TOKENS, self._thinks)
        if options.get("thinking", {}).get("type") == "enabled":
            options = {}
        options |= sampling_options(spec, options)
        if prompt.tools:
            options["tool_choice"] = {"type": "none"}
        most = model_catalogue.facts(spec.model).max_output or SUMMARY_TOKENS
        return RequestBuilder(prompt).build(
            self._cut(rows if self._redaction is None else [redacted_row(row) for row in rows]).rows,
            model=spec.model,
            max_tokens=min(SUMMARY_TOKENS, most),
            options=options,
            base_url=spec.base_url,
        )

    def _thinks(self) -> bool:
        if self._context.thinks is not None:
            return self._context.thinks(self._session.id)
        return self._context.look(self._session.id).thinking
