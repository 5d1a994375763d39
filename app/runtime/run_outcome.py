"""How a run ends, and what its readers are told last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from app.conversation.events import Error, Event, StreamStopped
from app.conversation.run import Run, RunStatus
from app.errors import BatonLost, TimeReached
from app.runtime.streams.event_encoder import EventEncoder


@dataclass(frozen=True, slots=True)
class RunOutcome:
    status: RunStatus
    code: str = ""
    error: str = ""

    def __str__(self) -> str:
        return f"{self.status} ({self.code})" if self.code else self.status

    def encoded(self, run: Run) -> list[bytes]:
        """The last events of a run that ends like this."""
        stopped = StreamStopped(agent_name=run.agent.rpartition("/")[2], session_id=run.session_id)
        events: list[Event] = [Error(error=self.error, code=self.code)] if self.error else []
        encoder = EventEncoder()
        return [payload for event in (*events, stopped) for payload in encoder.encode(event)]


FINISHED: Final = RunOutcome("finished")
CANCELLED: Final = RunOutcome("cancelled", "cancelled")
FAILED: Final = RunOutcome("failed", "internal", "The run failed; the server's log knows more.")

LOST: Final = RunOutcome("interrupted", BatonLost.code, BatonLost().message)
"""How a run ends, whatever else has happened to it, when another process has its session."""


def stopped(*, overdue: bool) -> RunOutcome:
    """How a run ends that was stopped: by somebody, or because it was `overdue`."""
    return RunOutcome("failed", TimeReached.code, TimeReached().message) if overdue else CANCELLED


def last_words(run: Run) -> list[bytes]:
    """The text that a run's readers are sent when its process has died."""
    words = "The run was interrupted: the process that it ran in died."
    return RunOutcome("interrupted", "interrupted", words).encoded(run)
