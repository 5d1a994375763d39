"""Doubles for the model: one that answers from a script, one that stops inside the call until it is let go."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from app.agent.model_client import Cancellation, ModelError, ModelEvent, ModelRequest, TextDelta, Turn
from app.conversation.blocks import Block
from app.conversation.usage import Usage

PATIENCE = 20.0

Step = Sequence[ModelEvent] | Exception


def said(text: str) -> list[ModelEvent]:
    """A whole turn that says this."""
    return [TextDelta(text), Turn(({"type": "text", "text": text},), "end_turn", Usage(10, 5), "a-model")]


def called(*calls: Block) -> list[ModelEvent]:
    """A whole turn that only calls tools."""
    return [Turn(tuple(calls), "tool_use", Usage(10, 5), "a-model")]


def call(call_id: str, name: str, **arguments: object) -> Block:
    return {"type": "tool_use", "id": call_id, "name": name, "input": dict(arguments)}


class ScriptedModel:
    """Plays its steps in order, one per model call. A call too many fails the run; `verify` finds one too few."""

    def __init__(self, *steps: Step) -> None:
        self._steps = list(steps)
        self.requests: list[ModelRequest] = []

    def stream(self, request: ModelRequest, cancellation: Cancellation) -> Iterator[ModelEvent]:
        self.requests.append(request)
        assert self._steps, "the model was called more often than its script says"
        step = self._steps.pop(0)
        if isinstance(step, Exception):
            raise step
        yield from step

    def add(self, *steps: Step) -> None:
        self._steps.extend(steps)

    def verify(self) -> None:
        assert self._steps == []


class TalkativeModel:
    """Says the same to everybody, for ever."""

    def stream(self, request: ModelRequest, cancellation: Cancellation) -> Iterator[ModelEvent]:
        yield from said("hello")


class GatedModel:
    """Says something, then waits inside the call until the gate is open or the run is cancelled."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._open = False
        self._inside = 0

    def stream(self, request: ModelRequest, cancellation: Cancellation) -> Iterator[ModelEvent]:
        yield TextDelta("thinking about it")
        with cancellation.calling(self._notify), self._changed:
            self._inside += 1
            self._changed.notify_all()
            passed = self._changed.wait_for(lambda: self._open or cancellation.is_set(), PATIENCE)
            self._inside -= 1
        if cancellation.is_set():
            raise ModelError("cancelled", kind="cancelled", shown=True)
        assert passed, "nobody opened the gate"
        yield from said("hello")

    def open(self) -> None:
        with self._changed:
            self._open = True
            self._changed.notify_all()

    def wait_for(self, count: int) -> None:
        """Returns when that many calls are inside at the same time."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._inside >= count, PATIENCE), "nobody came"

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()
