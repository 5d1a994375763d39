"""Tasks that agents start beside a run. Each is a session of its own with a run of its own: claimed, leased, fenced,
drained and stopped as any other, so a task writes nothing into the conversation that it was started from."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from app.agent import delegation
from app.agent.toolset import Delegation, OutcomeUnknown, ToolFailed
from app.conversation.background_task import BackgroundTask, session_of_task
from app.conversation.blocks import plain_text
from app.conversation.run import Baton
from app.conversation.session import Session
from app.errors import AppError, NotRunning, StoreUnavailable
from app.runtime.manager import RuntimeManager
from app.runtime.run_claims import Claims
from app.runtime.run_clock import RunClock
from app.runtime.run_plan import Planner
from app.store.store import Store

STOP_SECONDS: Final = 5.0  # how long a caller that stops a task waits for its end


@dataclass(frozen=True, slots=True)
class TaskParent:
    """The agent that starts tasks: it works on `session` within the run that has `baton`, and with the headers of
    the request behind it."""

    baton: Baton
    headers: Mapping[str, str]
    session: Session
    team: str  # the key of the agent file
    clock: RunClock  # of the run


@dataclass(frozen=True, slots=True)
class BackgroundRuns:
    """One per process."""

    store: Store
    planner: Planner
    claims: Claims
    manager: RuntimeManager
    cancel: Callable[..., object]  # RunControl.cancel

    def work_for(self, parent: TaskParent) -> Work:
        return Work(self, parent)


class Work:
    """The tasks of one conversation, whichever of its agents has started them. For one run's thread."""

    def __init__(self, runs: BackgroundRuns, parent: TaskParent) -> None:
        self._runs = runs
        self._store = runs.store
        self._parent = parent

    @property
    def _root(self) -> str:
        """The conversation. A task that a task starts stands beside it."""
        at_work = self._store.sessions.get(self._parent.baton.session_id)
        return at_work.parent_id or at_work.id

    def start(self, task: Delegation) -> BackgroundTask:
        try:
            if self._store.sessions.get(self._root).choices.without_tasks:
                raise ToolFailed(delegation.NO_TASKS)
            return self._start(task)
        except StoreUnavailable as error:
            raise OutcomeUnknown("the database does not answer") from error
        except AppError as error:
            raise ToolFailed(error.message) from error

    def _start(self, task: Delegation) -> BackgroundTask:
        session, parent = self._session(task), self._parent
        plan = self._runs.planner.plan(parent.team, task.agent)
        first = delegation.first_message(task)
        claim = partial(self._runs.claims.task, session, first, plan, parent.baton, parent.clock.left)
        live = self._runs.manager.launch(session.id, plan, claim, headers=parent.headers)
        assert live is not None  # noqa: S101 - this claim claims or raises
        return BackgroundTask(live.run, live.run.started_at)

    def _session(self, task: Delegation) -> Session:
        now_of_parent = self._store.sessions.get(self._parent.session.id)
        return delegation.background_session(
            now_of_parent,
            self._parent.session,
            new_id=str(uuid.uuid4()),
            root=self._root,
            agent=f"{self._parent.team}/{task.agent}",
        )

    def tasks(self) -> Sequence[BackgroundTask]:
        return self._store.background.tasks(self._root)

    def find(self, task_id: str) -> BackgroundTask | None:
        return self._store.background.task(self._root, session_of_task(task_id))

    def said(self, task: BackgroundTask) -> Sequence[str]:
        rows = self._store.sessions.messages(task.session_id)
        texts = (plain_text(row.content).strip() for row in rows if row.role == "assistant")
        return [text for text in texts if text]

    def stop(self, task: BackgroundTask) -> None:
        """A task that stops itself does not wait for that."""
        seconds = 0.0 if task.session_id == self._parent.baton.session_id else STOP_SECONDS
        try:
            self._runs.cancel(task.session_id, by="agent", run_id=task.run.id, wait=seconds)
        except NotRunning:
            return  # it has ended by itself meanwhile
