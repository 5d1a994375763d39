"""What a session has used, as the Managed Agents API tells it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Self

from app.conversation.usage import Usage
from app.store.managed_sessions import ManagedSession

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Spent:
    """Of all of a session's model requests. `cost` is in dollars."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read: int = 0
    cache_written: int = 0
    active_seconds: float = 0.0
    cost: float = 0.0
    searches: int = 0
    fetches: int = 0

    def with_call(self, usage: Usage, cost: float) -> Self:
        return replace(
            self,
            input_tokens=self.input_tokens + usage.input_tokens,
            output_tokens=self.output_tokens + usage.output_tokens,
            cache_read=self.cache_read + usage.cache_read_tokens,
            cache_written=self.cache_written + usage.cache_write_tokens,
            cost=self.cost + cost,
        )

    def without(self, usage: Usage, cost: float) -> Self:
        """The rest when these model calls are those of others."""
        return replace(
            self,
            input_tokens=max(0, self.input_tokens - usage.input_tokens),
            output_tokens=max(0, self.output_tokens - usage.output_tokens),
            cache_read=max(0, self.cache_read - usage.cache_read_tokens),
            cache_written=max(0, self.cache_written - usage.cache_write_tokens),
            cost=max(0.0, self.cost - cost),
        )

    def with_cost(self, cost: float) -> Self:
        """Adds the cost of a request that is not the agent's own."""
        return replace(self, cost=self.cost + cost)

    def with_web(self, *, searches: int = 0, fetches: int = 0) -> Self:
        return replace(self, searches=self.searches + searches, fetches=self.fetches + fetches)

    def with_seconds(self, seconds: float) -> Self:
        return replace(self, active_seconds=self.active_seconds + seconds)

    def json(self) -> Json:
        cents = (Decimal(str(self.cost)) * 100).quantize(Decimal(1), ROUND_HALF_UP)
        written = {"ephemeral_5m_input_tokens": self.cache_written, "ephemeral_1h_input_tokens": 0}
        return {
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cache_read_input_tokens": self.cache_read,
            "cache_creation": written if self.cache_written else None,
            "active_seconds": round(self.active_seconds, 3),
            "list_cost": {"amount": str(cents), "currency": "USD"},
            "server_tool_use": {
                "web_search_requests": self.searches,
                "web_fetch_requests": self.fetches,
            },
        }


def spent_of(found: ManagedSession) -> Spent:
    """From the session's last `session.usage`; its cost is the exact one."""
    cost = found.cost
    if found.usage is None:
        return Spent(cost=cost)
    usage = found.usage["usage"]
    written = usage["cache_creation"] or {}
    return Spent(
        usage["input_tokens"],
        usage["output_tokens"],
        usage["cache_read_input_tokens"],
        written.get("ephemeral_5m_input_tokens", 0),
        usage["active_seconds"],
        cost,
        usage["server_tool_use"]["web_search_requests"],
        usage["server_tool_use"]["web_fetch_requests"],
    )
