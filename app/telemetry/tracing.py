"""Traces, seen from where things happen. This is the tracing that is switched off: it does nothing and imports
nothing; `app.telemetry.open_telemetry` has the other one.

Names and attributes are OpenTelemetry's conventions for generative AI.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final

Attributes = Mapping[str, str | int | float | bool | Sequence[str]]


class Span:
    """Something that takes a while, as a trace shows it."""

    def note(self, attributes: Attributes) -> None:
        """Adds an attribute that became known meanwhile."""

    def fail(self, kind: str) -> None:
        """It did not end well; `kind` is one of few words."""


_NO_SPAN: Final = nullcontext(Span())
_NOTHING: Final = nullcontext()


class Tracing:
    """One per process. A thread has a current span, the parent of those that begin on it."""

    def current(self) -> object:
        """Where this thread is in its trace, for `within` on another thread."""
        return None

    def continuing(self, traceparent: str, tracestate: str) -> AbstractContextManager[None]:
        """While inside, this thread goes on with the trace that a caller has begun; the texts are headers."""
        return _NOTHING

    def within(self, place: object) -> AbstractContextManager[None]:
        """While inside, this thread goes on where `current` was called."""
        return _NOTHING

    def run(self, *, session_id: str, run_id: str, agent: str) -> AbstractContextManager[Span]:
        """A run of an agent; the thread's current span while inside."""
        return _NO_SPAN

    def model_call(self, model: str, *, max_tokens: int) -> AbstractContextManager[Span]:
        """One call of a model. Not the current span, so a generator may hold it open."""
        return _NO_SPAN

    def tool_call(self, name: str, call_id: str, *, is_current: bool = True) -> AbstractContextManager[Span]:
        """One tool call, and whatever its agent lets others do meanwhile; the thread's current span, unless others are
        made beside it."""
        return _NO_SPAN

    def close(self) -> None:
        """Sends what was not sent yet; nothing may be traced afterwards."""
