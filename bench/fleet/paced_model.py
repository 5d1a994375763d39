"""In place of a model: says a word every so often, for ever, and calls a tool at the end of each turn."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from app.agent.model_client import Cancellation, ModelError, ModelEvent, ModelRequest, TextDelta, Turn
from app.conversation.blocks import Block
from app.conversation.usage import Usage

WORD: Final = " moving"
ASK: Final = "ask a person"
"""The user's words that make the model call a tool that needs a person's word, once."""

SHORT: Final = "only a word"
"""And those that make it say a word and end."""


@dataclass(frozen=True, slots=True)
class Pace:
    deltas: float  # a second, of each run
    turn_seconds: float


class PacedModel:
    """One object serves all runs of a process."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._numbers = itertools.count()
        self._answered = threading.Condition()
        self._answered_at: dict[str, float] = {}  # monotonic, by what the user said

    def stream(self, request: ModelRequest, cancellation: Cancellation) -> Iterator[ModelEvent]:
        if SHORT.encode() in request.messages[-1]:
            yield TextDelta(WORD)
            yield Turn(({"type": "text", "text": WORD},), "end_turn", Usage(10, 5), "a-model")
            return
        said = b"".join(request.messages).decode()
        if ASK in said and '"tool_result"' not in said:
            yield self._call("shell", cmd="true")
            return
        if ASK in said:
            self._note(said)
        yield from self._talk(cancellation)

    def _talk(self, cancellation: Cancellation) -> Iterator[ModelEvent]:
        # the first turns end at different times, so that runs which began together don't march in step
        left = self._pace.turn_seconds * random.uniform(0.2, 1.8)
        words = max(int(left * self._pace.deltas), 1)
        for _ in range(words):
            if cancellation.wait(left / words):
                raise ModelError("cancelled", kind="cancelled", shown=True)
            yield TextDelta(WORD)
        yield self._call("think", text=WORD * words, thought=f"thought {next(self._numbers)}")

    def _call(self, name: str, *, text: str = "", **arguments: str) -> Turn:
        call: Block = {
            "type": "tool_use",
            "id": f"toolu_{next(self._numbers)}",
            "name": name,
            "input": arguments,
        }
        content: tuple[Block, ...] = ({"type": "text", "text": text}, call) if text else (call,)
        return Turn(content, "tool_use", Usage(10, 5), "a-model")

    def _note(self, said: str) -> None:
        with self._answered:
            self._answered_at.setdefault(_mark(said), time.monotonic())
            self._answered.notify_all()

    def answered_at(self, mark: str, seconds: float) -> float:
        """When the run whose user said `ask a person [mark]` went on after its answer. TimeoutError."""
        with self._answered:
            if not self._answered.wait_for(lambda: mark in self._answered_at, seconds):
                raise TimeoutError("an answer did not reach its run")
            return self._answered_at[mark]


def _mark(said: str) -> str:
    return said.partition(f"{ASK} [")[2].partition("]")[0]
