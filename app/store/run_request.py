"""A client's request to start a run, as one value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.conversation.transcript import Message
from app.store.idempotency import KeyUse


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """Without messages the run works on what waits in the session's queue."""

    session_id: str
    key: str  # of the agent file
    name: str | None = None  # of the agent in it; None: its first one, or the one that has the session
    messages: Sequence[Message] = ()
    visible_to: str | None = None  # the only owner whose sessions may be used; None: everybody's
    expected_position: int | None = None  # of the session's last message
    replacing: str | None = None  # a run that was stopped for this one; its messages may follow that position
    retrying: str = ""  # the session's last run, which failed, and whose turn it takes up again
    idempotency: KeyUse | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)  # of the request; never stored
    model: str | None = None  # "provider/name" for the session's runs from now on; empty: each agent's own

    @property
    def named(self) -> str:
        """The agent, in the words of the request."""
        return f"{self.key}/{self.name}" if self.name else self.key
