"""Translates a run's facts into events for the clients of another door, which are stored together with the facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from app.agent.loop_steps import Step
from app.conversation.outcome import Outcome
from app.conversation.queued_message import QueuedMessage
from app.conversation.run import Answer, Question
from app.conversation.run_outcome import RunOutcome

Rows = Sequence[Mapping[str, Any]]
"""Rows of the table of events (`app.store.told_events`)."""


class EventTranslator(Protocol):
    """Owned by the run's thread. The rows of a write are made once, so a write that is repeated stores the same. Each
    method may raise StoreUnavailable; nothing has been told then, and it can be called again."""

    def began(self) -> Rows:
        """The run works, or works again after it has been answered."""
        ...

    def waiting(self) -> Rows:
        """Of what clients have sent, or changed, since the last time."""
        ...

    def of(self, step: Step) -> Rows:
        """Of a fact, a notice or a question."""
        ...

    def answer(self, question: Question) -> Answer | None:
        """The answer to a question that is stored now, if somebody has given it before."""
        ...

    def outcome(self) -> Outcome | None:
        """What the session's agent works towards."""
        ...

    def came(self, messages: Sequence[QueuedMessage]) -> Rows:
        """The run has taken these messages out of its session's queue."""
        ...

    def is_interrupted(self, session_id: str) -> bool:
        """Whether clients want a thread of the run, by its session, to stop."""
        ...

    def ended(self, outcome: RunOutcome) -> Rows: ...
