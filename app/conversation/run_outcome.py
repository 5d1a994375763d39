"""How a run ends, and what its readers are told last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from app.conversation.events import Error, Event, StreamStopped
from app.conversation.run import Run, RunStatus
from app.errors import BatonLost, TimeReached


@dataclass(frozen=True, slots=True)
class RunOutcome:
    status: RunStatus
    code: str = ""
    error: str = ""

    def __str__(self) -> str:
        return f"{self.status} ({self.code})" if self.code else self.status

    def last_events(self, run: Run) -> list[Event]:
        """What the readers of a run that ends like this are told last."""
        stopped = StreamStopped(agent_name=run.agent.rpartition("/")[2], session_id=run.session_id)
        return [Error(error=self.error, code=self.code), stopped] if self.error else [stopped]


FINISHED: Final = RunOutcome("finished")
CANCELLED: Final = RunOutcome("cancelled", "cancelled")
FAILED: Final = RunOutcome("failed", "internal", "The run failed; the server's log knows more.")

LOST: Final = RunOutcome("interrupted", BatonLost.code, BatonLost().message)
"""How a run ends, whatever else has happened to it, when another process has its session."""


def stopped(*, overdue: bool) -> RunOutcome:
    """How a run ends that was stopped: by somebody, or because it was `overdue`."""
    return RunOutcome("failed", TimeReached.code, TimeReached().message) if overdue else CANCELLED


def interrupted(words: str) -> RunOutcome:
    """How a run ends that is closed from outside; `words` say why."""
    return RunOutcome("interrupted", "interrupted", words)


DIED: Final = interrupted("The run was interrupted: the process that it ran in died.")
FORGOTTEN: Final = interrupted("The run was interrupted: its end could not be stored.")
