"""What is known of a tool server from outside of its thread, and how long it is waited for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from app.agent.tools.mcp.server_calls import Json
from app.team.lifecycle import Lifecycle


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """`restarts` since it was ready last. One that wants an authorization has failed."""

    state: Literal["stopped", "starting", "ready", "restarting", "failed"] = "stopped"
    restarts: int = 0


class AuthorizationMissing(Exception):
    """Somebody has to get a token first; `meta` says where. `why`: what the server, or a vault, has said."""

    def __init__(self, meta: Json, why: str = "") -> None:
        super().__init__("the server wants an authorization")
        self.meta = meta
        self.why = why


@dataclass(frozen=True, slots=True)
class ServerTimeouts:
    """Seconds."""

    start: float = 30.0  # until the server has named its tools
    call: float = 600.0  # without an answer, or a sign of progress
    retry: float = 30.0  # from a failed start to the next attempt
    restarts: Sequence[float] = (1.0, 2.0, 4.0, 8.0, 16.0)  # before each, after a lost connection
    jitter: float = 0.0  # how much longer such a wait may be, as a part of it

    def of(self, lifecycle: Lifecycle | None) -> ServerTimeouts:
        """With what an agent's author says."""
        if lifecycle is None:
            return self
        return ServerTimeouts(
            start=lifecycle.startup_timeout or self.start,
            call=lifecycle.call_timeout or self.call,
            retry=self.retry,
            restarts=lifecycle.waits,
            jitter=lifecycle.backoff.jitter,
        )
