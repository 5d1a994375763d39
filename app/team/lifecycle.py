"""How a tool server is looked after: how long it may take, and how often it is connected to again."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from app.team.fields import AgentFilePart, Limit, Price, Seconds, misused

MOST_RESTARTS = 1_000
"""For `max_restarts: -1`; after that many without a call in between the server counts as failed for a while."""


class Backoff(AgentFilePart):
    """Seconds, but for the factors; 0 is the default."""

    initial: Seconds = 0.0
    max: Seconds = 0.0
    multiplier: Price = 0.0
    jitter: Annotated[Price, Field(le=1)] = 0.0

    @model_validator(mode="after")
    def _within_bounds(self) -> Backoff:
        for name in ("initial", "max"):
            if getattr(self, name) < 0:
                raise misused(f"backoff.{name} must be non-negative", name)
        return self


class Lifecycle(AgentFilePart):
    not_here: ClassVar = {
        "required": "a run begins without a server that does not start, and a warning says so",
    }
    profile: Literal["", "resilient", "strict", "best-effort"] = ""
    """`resilient`, the default, connects again when a connection is lost; the others don't."""
    startup_timeout: Seconds = 0.0
    """Seconds until the server has named its tools; 0 is the default."""
    call_timeout: Seconds = 0.0
    """Seconds that a call may take; 0 is the default."""
    restart: Literal["", "never", "on_failure", "always"] = ""
    max_restarts: Limit = 0
    """In a row without a call in between; 0 is the default, -1 as often as it takes."""
    backoff: Backoff = Backoff()

    @model_validator(mode="after")
    def _within_bounds(self) -> Lifecycle:
        for name in ("startup_timeout", "call_timeout"):
            if getattr(self, name) < 0:
                raise misused(f"lifecycle.{name} must be non-negative", name)
        return self

    @property
    def waits(self) -> tuple[float, ...]:
        """Seconds before each attempt to connect again, without the jitter."""
        restart = self.restart or ("on_failure" if self.profile in ("", "resilient") else "never")
        if restart == "never":
            return ()
        many = MOST_RESTARTS if self.max_restarts < 0 else self.max_restarts or 5
        factor, longest = self.backoff.multiplier or 2.0, self.backoff.max or 32.0
        waits, wait = [], self.backoff.initial or 1.0
        for _ in range(min(many, MOST_RESTARTS)):
            waits.append(min(wait, longest))
            wait = min(wait * factor, longest)
        return tuple(waits)
