"""Which request a run comes from: for the log and the trace of the threads that work for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from app.logs import context_fields, log_context
from app.telemetry.tracing import Tracing


@dataclass(frozen=True, slots=True)
class RequestContext:
    """Taken on the request's thread, entered on others."""

    fields: Mapping[str, str] = field(default_factory=dict)
    place: object = None  # in the request's trace

    @classmethod
    def of_this_thread(cls, tracing: Tracing) -> RequestContext:
        """A run that another run's thread begins, for what waits in the queue, comes from no request."""
        fields = context_fields()
        return cls() if "run" in fields else cls(fields, tracing.current())

    @contextmanager
    def entered(self, tracing: Tracing, **more: str) -> Iterator[None]:
        """While inside, this thread logs and traces as part of the request."""
        with log_context(**self.fields, **more):
            if self.place is None:
                yield
                return
            with tracing.within(self.place):
                yield
