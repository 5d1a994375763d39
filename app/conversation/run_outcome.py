"""How a run ends, and what its readers are told last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from app.conversation.events import CANCELLED as STOPPED
from app.conversation.events import NORMAL, Error, Event, StreamStopped, stop_reason
from app.conversation.run import Run, RunStatus
from app.errors import BatonLost, TimeReached


@dataclass(frozen=True, slots=True)
class RunOutcome:
    status: RunStatus
    code: str = ""
    error: str = ""
    details: Mapping[str, Any] = field(default_factory=dict, compare=False)  # of the failure; not stored

    def __str__(self) -> str:
        return f"{self.status} ({self.code})" if self.code else self.status

    def last_events(self, run: Run) -> list[Event]:
        """What the readers of a run that ends like this are told last."""
        agent = run.agent.rpartition("/")[2]
        stopped = StreamStopped(agent_name=agent, session_id=run.session_id, reason=self._stop_reason)
        failed = Error(error=self.error, session_id=run.session_id, code=self.code)
        return [failed, stopped] if self.error else [stopped]

    @property
    def _stop_reason(self) -> str:
        if self.status in ("finished", "cancelled"):
            return NORMAL if self.status == "finished" else STOPPED
        return stop_reason(self.code)


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
