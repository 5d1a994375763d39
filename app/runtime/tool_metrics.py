"""Watches the tool calls of one run: how long they take and how they end."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass

from app.agent.loop_steps import CallEnded, CallStarting, Fact
from app.telemetry.telemetry import Telemetry
from app.telemetry.tracing import Span


@dataclass(frozen=True, slots=True)
class _TimedCall:
    tool: str
    began: float
    span: Span
    undo: ExitStack


class ToolMetrics:
    """Sees a run's facts once they are stored. While a colleague does a task, the call that delegates is still open;
    calls that are made beside each other are none of each other's business, and take until their turn to be stored.
    Owned by the run's thread."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._metrics = telemetry.metrics
        self._tracing = telemetry.tracing
        self._open: dict[tuple[str, str], _TimedCall] = {}  # by session and id, the newest last

    def see(self, fact: Fact) -> None:
        match fact:
            case CallStarting():
                self._begin(fact)
            case CallEnded() if call := self._open.pop((fact.session_id, fact.call_id), None):
                self._end(call, fact.state)

    def close(self) -> None:
        """The run is over; a call that did not get to its result is not counted."""
        while self._open:
            self._open.popitem()[1].undo.close()

    def _begin(self, fact: CallStarting) -> None:
        undo = ExitStack()
        span = undo.enter_context(
            self._tracing.tool_call(fact.tool, fact.call_id, is_current=not fact.beside)
        )
        self._open[fact.session_id, fact.call_id] = _TimedCall(fact.tool, time.monotonic(), span, undo)

    def _end(self, call: _TimedCall, state: str) -> None:
        if state != "completed":
            call.span.fail(state)
        call.undo.close()
        self._metrics.tool_called(call.tool, state, time.monotonic() - call.began)
