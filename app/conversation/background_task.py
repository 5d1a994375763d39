"""Tasks that agents do beside a conversation: each has a session of its own below it, with a run of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from app.conversation.run import Run

TITLE: Final = "Background agent task"
MAX_RUNNING: Final = 20  # of one conversation, at the same time
MAX_LISTED: Final = 100  # of one conversation: the newest ones

TaskStatus = Literal["running", "completed", "stopped", "failed"]

_PREFIX: Final = "agent_task_"


class TooManyTasks(Exception):
    """As many tasks as may be are at work for this conversation."""


@dataclass(frozen=True, slots=True)
class BackgroundTask:
    """A task as its newest run has it; `now` is the database's time when that was read."""

    run: Run
    now: float

    @property
    def id(self) -> str:
        return f"{_PREFIX}{self.session_id}"

    @property
    def session_id(self) -> str:
        return self.run.session_id

    @property
    def agent(self) -> str:
        return self.run.agent.partition("/")[2]

    @property
    def status(self) -> TaskStatus:
        if self.run.status == "cancelled" or (self.run.live and self.run.stopped_by):
            return "stopped"
        if self.run.live:
            return "running"
        return "completed" if self.run.status == "finished" else "failed"

    @property
    def problem(self) -> str:
        """Why it failed, in words."""
        if self.run.status == "interrupted":
            return self.run.error or "the server stopped while the agent was at work"
        return self.run.error or self.run.code

    @property
    def seconds(self) -> float:
        return max(0.0, (self.run.ended_at or self.now) - self.run.started_at)


def session_of_task(task_id: str) -> str:
    """The session of the task with that id; empty if it is no task's."""
    return task_id.removeprefix(_PREFIX) if task_id.startswith(_PREFIX) else ""
