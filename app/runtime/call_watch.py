"""Watches the tool calls of one run: how long they take and how they end."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass

from app.agent.steps import CallEnded, CallStarting, Fact
from app.telemetry.telemetry import Telemetry
from app.telemetry.tracing import Span


@dataclass(frozen=True, slots=True)
class _Call:
    id: str
    tool: str
    began: float
    span: Span
    undo: ExitStack


class CallWatch:
    """Sees a run's facts once they are stored. Calls are nested while a colleague does a task: then the call that
    delegates is still open. Owned by the run's thread."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._metrics = telemetry.metrics
        self._tracing = telemetry.tracing
        self._open: list[_Call] = []

    def see(self, fact: Fact) -> None:
        match fact:
            case CallStarting():
                self._begin(fact)
            case CallEnded() if self._open and self._open[-1].id == fact.call_id:
                self._end(fact.state)

    def close(self) -> None:
        """The run is over; what did not get to its result is not counted."""
        while self._open:
            self._open.pop().undo.close()

    def _begin(self, fact: CallStarting) -> None:
        undo = ExitStack()
        span = undo.enter_context(self._tracing.tool_call(fact.tool, fact.call_id))
        self._open.append(_Call(fact.call_id, fact.tool, time.monotonic(), span, undo))

    def _end(self, state: str) -> None:
        call = self._open.pop()
        if state != "completed":
            call.span.fail(state)
        call.undo.close()
        self._metrics.tool_called(call.tool, state, time.monotonic() - call.began)
