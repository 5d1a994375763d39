"""A thread: a session below a conversation's, in which another agent answers the messages of the conversation's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from app.conversation.session import Session
from app.conversation.usage import Usage

ThreadStatus = Literal["running", "idle", "terminated"]

MAX_THREADS: Final = 25  # of one conversation, that have not ended


@dataclass(frozen=True, slots=True)
class SessionThread:
    """`ended_at` is when it was archived, or failed. `active_seconds`: how long its agent was at work. Times are
    seconds since the epoch, by the database's clock; `read_at` is when this was so."""

    session: Session
    status: ThreadStatus
    updated_at: float
    ended_at: float | None
    usage: Usage
    active_seconds: float
    read_at: float

    @property
    def agent(self) -> str:
        """The agent's name in its team."""
        return self.session.agent.partition("/")[2]
