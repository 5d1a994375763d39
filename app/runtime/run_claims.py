"""How a run gets its session in the database: a new run, a task beside a run, a run that waited without a process.

Each is one transaction. The session's lock is held meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import Final

from app.conversation.run import Baton, Owner, Run
from app.conversation.run_outcome import FAILED
from app.conversation.session import Session
from app.conversation.transcript import Message
from app.errors import RunNotFound, StoreUnavailable
from app.runtime.live_run import LiveRun
from app.runtime.patience import Patience
from app.runtime.run_plan import Plan
from app.store.answer_store import Answered
from app.store.run_request import RunRequest
from app.store.store import Store
from app.telemetry.metrics import Metrics

END_SECONDS: Final = 0.05  # poll interval for the end of a run in another process


@dataclass(frozen=True, slots=True)
class Claimed:
    """A run that is stored. `undo` takes that back, as long as the run has not begun."""

    run: Run
    session: Session
    next_event: int  # the number of its first event
    undo: Callable[[], object]
    answered: Answered | None = None  # the answer from which an adopted run goes on


Claim = Callable[[str], Claimed | None]
"""Stores the run with that id. None if there is nothing to run."""

Told = SimpleQueue[tuple[LiveRun, Claimed] | None]
"""Where a run's thread waits for its run; None if the run was refused."""


class Claims:
    """Shared by all threads of a process, the `owner` of what is claimed."""

    def __init__(self, store: Store, metrics: Metrics, *, owner: Owner) -> None:
        self._store = store
        self._metrics = metrics
        self.owner = owner

    def await_end(self, run_id: str, seconds: float) -> bool:
        """Waits for the end of a run in another process; False if it takes longer than so many seconds. A run that was
        deleted with its session has ended, too."""
        deadline = time.monotonic() + seconds
        with suppress(RunNotFound):
            while self._store.runs.get(run_id).live:
                if time.monotonic() >= deadline:
                    return False
                time.sleep(END_SECONDS)
        return True

    def new_run(self, request: RunRequest, plan: Plan, run_id: str) -> Claimed:
        """Raises what `ClaimStore.begin` raises."""
        begun = self._store.claims.begin(
            run_id,
            request,
            agent=plan.agent,
            owner=self.owner,
            options=plan.options(request.options),
            starts_thinking=plan.starts_thinking,
            holders=plan.holders,
            policy=plan.policy,
        )
        if begun.interrupted is not None:
            self._metrics.run_ended("interrupted", "interrupted")
        return Claimed(
            begun.run, begun.session, begun.next_event, partial(self._store.claims.withdraw, begun)
        )

    def of_queue(self, session_id: str) -> RunRequest | None:
        """Asks the agent that ran last to go on with what waits in the queue, or the one that a session was given to
        before its first run; None if there is none yet."""
        last = self._store.runs.recent(session_id=session_id, limit=1)
        if not last:
            key = self._store.sessions.get(session_id).handed_to.partition("/")[0]
            return RunRequest(session_id=session_id, key=key, name=None) if key else None
        key, name = last[0].key_and_name
        return RunRequest(session_id=session_id, key=key, name=name)

    def task(
        self, session: Session, first: Message, plan: Plan, asked_by: Baton, seconds: float, run_id: str
    ) -> Claimed:
        """A task in a session of its own, which may be at work for so many `seconds`. Raises what
        `BackgroundStore.begin` raises."""
        begun = self._store.background.begin(
            run_id,
            session,
            first,
            asked_by=asked_by,
            agent=plan.agent,
            owner=self.owner,
            options=plan.options({"started_by": session.owner}, within=seconds),
        )
        withdraw = partial(self._store.background.withdraw, begun.run.baton)
        return Claimed(begun.run, begun.session, begun.next_event, withdraw)

    def adoption(self, run: Run, take: Callable[[], Answered], _: str) -> Claimed | None:
        """A run that waits without a process: `take` answers it and makes it this process's, in one transaction. None
        if it has a process after all, which goes on with it. Raises what `take` raises."""
        try:
            answered = take()
        except StoreUnavailable:
            found = Patience()(self._store.answers.taken, run, self.owner)
            if found is None:
                raise
            answered = found  # it was committed, and only the database's word was lost
        if answered.adopted is None:
            return None
        fail = partial(self._store.runs.finish, answered.run.baton, FAILED.status, code=FAILED.code)
        return Claimed(answered.run, answered.adopted.session, answered.adopted.next_event, fail, answered)
