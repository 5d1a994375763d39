"""Which model answers: the agent's own or, when that one fails, the next of its fallbacks.

A model that failed in a way that trying again does not mend is left alone for a while: the chain then begins
with the fallback that answered instead.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, TypeVar

from app.agent.loop_steps import Step
from app.agent.model_client import ModelError
from app.agent.retry import RETRIES
from app.conversation.events import ModelFallback
from app.team.agent import Agent
from app.team.model_definition import ModelSpec

DEFAULT_COOLDOWN: Final = 60.0
MAX_REMEMBERED: Final = 10_000

_OURS: Final = frozenset({"cancelled", "picture_refused"})
"""Kinds of failures that are no fault of the model, so that another one would not do better."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RetryPatience:
    """How often one model is tried again. A model that has another one behind it is not waited for when it wants
    to be left alone."""

    retries: int
    waits_for_limits: bool


Attempt = Callable[[ModelSpec, RetryPatience], Generator[Step, Any, T]]
"""Asks one model; raises ModelError."""


class Cooldowns:
    """Remembers per session and agent which fallback is in use, and until when. In memory, for all threads: each
    key belongs to the one run that has its session."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._places: dict[tuple[str, str], tuple[int, float]] = {}

    def place(self, session_id: str, agent: str) -> int:
        """Where in the chain to begin; 0 is the agent's own model."""
        place, until = self._places.get((session_id, agent), (0, 0.0))
        return place if self._clock() < until else 0

    def begin(self, session_id: str, agent: str, place: int, seconds: float) -> None:
        if len(self._places) >= MAX_REMEMBERED:
            self._forget_old()
        self._places[session_id, agent] = (place, self._clock() + seconds)

    def clear(self, session_id: str, agent: str) -> None:
        self._places.pop((session_id, agent), None)

    def _forget_old(self) -> None:
        now = self._clock()
        for key, (_, until) in list(self._places.items()):
            if until <= now:
                self._places.pop(key, None)


class ModelChain:
    """The models of one agent in one session, in the order in which they are asked. Each call takes any member of an
    alloy first."""

    def __init__(self, cooldowns: Cooldowns, session_id: str, agent: Agent) -> None:
        self._cooldowns = cooldowns
        self._session_id = session_id
        self._agent = agent

    @property
    def first(self) -> Sequence[ModelSpec]:
        """The models of which one would be asked now."""
        place = self._place()
        return [self._agent.fallback_models[place - 1]] if place else self._agent.models

    def ask(self, attempt: Attempt[T], *, before: Sequence[ModelSpec] = ()) -> Generator[Step, Any, T]:
        """The answer of the first model that gives one, those that come `before` the chain's own among them. The
        last one's ModelError if none does; at once that of a model that had begun to speak, or was cancelled."""
        for model, following in pairwise([*before, *self.first][: len(before) + 1]):
            try:
                return (yield from attempt(model, RetryPatience(self._retries, waits_for_limits=False)))
            except ModelError as error:
                if error.shown or error.kind in _OURS:
                    raise
                yield self._fallback(model, following, error)
        key = (self._session_id, self._agent.name)
        models = (random.choice(self._agent.models), *self._agent.fallback_models)
        failed_for_good = False
        for place in range(self._place(), len(models)):
            last = place == len(models) - 1
            try:
                answer = yield from attempt(
                    models[place], RetryPatience(self._retries, waits_for_limits=last)
                )
            except ModelError as error:
                if last or error.shown or error.kind in _OURS:
                    raise
                if place == 0:
                    failed_for_good = error.kind != "retryable"
                yield self._fallback(models[place], models[place + 1], error)
                continue
            if place == 0:
                self._cooldowns.clear(*key)
            elif failed_for_good:
                self._cooldowns.begin(*key, place, self._cooldown)
            return answer
        raise ModelError("the agent has no model", kind="final")

    def _place(self) -> int:
        place = self._cooldowns.place(self._session_id, self._agent.name)
        return place if place <= len(self._agent.fallback_models) else 0  # the agent's file may have changed

    @property
    def _retries(self) -> int:
        said = self._agent.fallback.retries if self._agent.fallback else 0
        return max(said, 0) if said else RETRIES

    @property
    def _cooldown(self) -> float:
        return (self._agent.fallback.cooldown if self._agent.fallback else 0.0) or DEFAULT_COOLDOWN

    def _fallback(self, failed: ModelSpec, following: ModelSpec, error: ModelError) -> ModelFallback:
        return ModelFallback(
            agent_name=self._agent.name,
            failed_model=failed.id,
            fallback_model=following.id,
            reason=str(error),
            max_attempts=1 + self._retries,
        )
