"""Tasks that agents do in the background: sessions below a conversation's, each with runs of its own, which hold
leases and write behind the fence as any other run. Each method is one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, func, select

from app.conversation.background_task import MAX_LISTED, MAX_RUNNING, BackgroundTask, TooManyTasks
from app.conversation.run import Baton, Owner, Run
from app.conversation.session import Session
from app.conversation.transcript import Message
from app.store.clock import now
from app.store.engine import Database
from app.store.event_segments import RESERVED_NUMBERS
from app.store.fence import Fence
from app.store.prepared_statements import Prepared
from app.store.quotas import NO_LIMITS, Limits, check_budget, check_runs
from app.store.row_mapping import run_of
from app.store.run_rows import BegunRun, insert_run, new_run_row
from app.store.session_rows import add_session, append_messages, find_session, set_next_event
from app.store.tables import IS_LIVE, runs, sessions

OPTION: Final = "background"
"""Among a run's options: it was started by an agent, and no person follows it who could be asked."""

_BELOW: Final = select(sessions.c.id).where(sessions.c.parent_id == bindparam("root"))
_RUNS: Final = Prepared(
    select(runs).where(runs.c.session_id.in_(_BELOW)).order_by(runs.c.started_at, runs.c.id)
)
_RUNNING: Final = Prepared(
    select(func.count()).select_from(runs).where(runs.c.session_id.in_(_BELOW), IS_LIVE)
)
_DELETE: Final = Prepared(delete(sessions).where(sessions.c.id == bindparam("here")))
_NOW: Final = Prepared(select(now()))


class BackgroundStore:
    def __init__(self, database: Database, fence: Fence, limits: Limits = NO_LIMITS) -> None:
        self._database = database
        self._fence = fence
        self._limits = limits

    def begin(
        self,
        run_id: str,
        session: Session,
        first: Message,
        *,
        asked_by: Baton,
        agent: str,
        owner: Owner,
        options: Mapping[str, Any],
    ) -> BegunRun:
        """The task's session, its message and its run, all or nothing; only for a caller that has the baton of the
        conversation. BatonLost, TooManyTasks, SessionNotFound, BudgetReached, TooManyRuns."""
        with self._database.writing() as connection:
            self._fence.check(connection, asked_by)
            root = find_session(connection, str(session.parent_id), lock=True)  # tasks are counted one by one
            if _RUNNING.scalar(connection, {"root": session.parent_id}) >= MAX_RUNNING:
                raise TooManyTasks()
            check_budget(connection, root, self._limits)
            add_session(connection, session)
            row = find_session(connection, session.id)
            check_runs(connection, row, self._limits)
            next_event = int(row.next_event)
            new = new_run_row(self._fence, run_id, session.id, agent, owner, {**options, OPTION: True})
            run = insert_run(connection, new, next_event)
            append_messages(connection, session.id, [first], run_id)
            set_next_event(connection, session.id, next_event + RESERVED_NUMBERS)
            return BegunRun(run, session, 0, next_event)

    def withdraw(self, baton: Baton) -> None:
        """Undoes `begin`: the task was never there."""
        with self._database.writing() as connection:
            self._fence.check(connection, baton)
            _DELETE.run(connection, {"here": baton.session_id})

    def tasks(self, root: str) -> list[BackgroundTask]:
        """The newest ones of a conversation, in the order in which they were begun."""
        with self._database.reading() as connection:
            return list(_tasks(connection, root).values())[-MAX_LISTED:]

    def task(self, root: str, session_id: str) -> BackgroundTask | None:
        with self._database.reading() as connection:
            return _tasks(connection, root).get(session_id)

    def live_runs(self, root: str) -> list[Run]:
        """The runs of the tasks that are at work for a conversation."""
        with self._database.reading() as connection:
            found = _tasks(connection, root)
        return [task.run for task in found.values() if task.run.live]


def _tasks(connection: Connection, root: str) -> dict[str, BackgroundTask]:
    """By session, in the order in which they were begun."""
    moment = float(_NOW.scalar(connection))
    found = [run_of(row) for row in _RUNS.all(connection, {"root": root})]
    newest = {run.session_id: run for run in found}
    first = {run.session_id: run for run in reversed(found)}
    begun = [run for run in found if first[run.session_id] is run and run.options.get(OPTION)]
    return {run.session_id: BackgroundTask(newest[run.session_id], moment) for run in begun}
