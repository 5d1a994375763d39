"""The sweep: closes the runs of processes that died, so that no request has to find out first."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Final

from sqlalchemy import bindparam, select

from app.conversation.run import WAITING, Owner, Run
from app.conversation.run_outcome import CANCELLED, DIED, FORGOTTEN, RunOutcome
from app.store.clock import now
from app.store.columns import one_of
from app.store.engine import Database
from app.store.fence import Fence
from app.store.prepared_statements import Prepared
from app.store.row_mapping import owner_of, owner_row, run_of
from app.store.run_end import close_orphan
from app.store.run_rows import has_expired
from app.store.tables import IS_LIVE, runs, sessions

log = logging.getLogger(__name__)

_expired: Final = runs.c.lease_expires_at < now()
_running: Final = IS_LIVE & (runs.c.status == "running")  # the first part is what the index knows
_owner_columns: Final = (runs.c.owner_host, runs.c.owner_boot, runs.c.owner_pid, runs.c.owner_started)
_OWNERS: Final = Prepared(select(*_owner_columns).where(_running).distinct())
_running_of: Final = select(runs.c.id).where(
    _running, *(column == bindparam(column.key) for column in _owner_columns)
)
_RUNNING_OF: Final = Prepared(_running_of)
_EXPIRED_OF: Final = Prepared(_running_of.where(_expired))
_UNLOCKED_RUNNING: Final = Prepared(
    select(runs)
    .join(sessions, sessions.c.id == runs.c.session_id)
    .where(_running, runs.c.id == bindparam("run_id"))
    .with_for_update(key_share=True, skip_locked=True)
)
"""And its session; no row if another transaction keeps one of the two locked."""
_stopped: Final = IS_LIVE & one_of(runs.c.status, WAITING) & runs.c.stop_requested.is_not(None) & _expired
_STOPPED: Final = Prepared(select(runs.c.id).where(_stopped))
_UNLOCKED_STOPPED: Final = Prepared(
    select(runs)
    .join(sessions, sessions.c.id == runs.c.session_id)
    .where(_stopped, runs.c.id == bindparam("run_id"))
    .with_for_update(key_share=True, skip_locked=True)
)


class SweepStore:
    """Used by maintenance, and once at the start of a server."""

    def __init__(self, database: Database, fence: Fence) -> None:
        self._database = database
        self._fence = fence

    def interrupt_dead(self, *, by_lease: bool) -> list[Run]:
        """Closes the runs of processes that are gone, and with `by_lease` also those whose lease has run out and
        whose process can't be looked at from here. Each in a transaction of its own, so that it holds up no live run;
        one that is locked, or can't be closed, is left for the next time.

        A process that lives keeps its runs even if their leases have run out; a claim may still take them. Runs that
        wait for a person still wait. `by_lease` is for a process that has itself reached the database without a
        break for as long as a lease: after an outage every lease has run out.
        """
        with self._database.reading() as connection:
            owners = [owner_of(row) for row in _OWNERS.all(connection)]
        dead = []
        for owner in owners:  # each is looked for once, however many runs it has
            liveness = self._fence.probe(owner)
            if liveness == "gone":
                dead += self._interrupt_all(_RUNNING_OF, owner, DIED, whatever_lease=True)
            elif liveness == "unknown" and by_lease:
                dead += self._interrupt_all(_EXPIRED_OF, owner, DIED)
        return dead

    def interrupt_forgotten(self, owner: Owner, *, at_work: Collection[str]) -> list[Run]:
        """Closes runs of a living process that it has left behind: they are not `at_work`, and their lease has run
        out, since it could not store their end. No other process would."""
        return self._interrupt_all(_EXPIRED_OF, owner, FORGOTTEN, but=at_work)

    def _interrupt_all(
        self,
        query: Prepared,
        owner: Owner,
        outcome: RunOutcome,
        *,
        but: Collection[str] = (),
        whatever_lease: bool = False,
    ) -> list[Run]:
        with self._database.reading() as connection:
            suspects = [row.id for row in query.all(connection, owner_row(owner)) if row.id not in but]
        found = [self._interrupt(id, owner, outcome, whatever_lease) for id in suspects]
        return [run for run in found if run is not None]

    def _interrupt(self, run_id: str, owner: Owner, outcome: RunOutcome, whatever_lease: bool) -> Run | None:
        """Unless the run has ended, is locked, has another owner, or has renewed its lease since."""
        try:
            with self._database.writing() as connection:
                row = _UNLOCKED_RUNNING.first(connection, {"run_id": run_id})
                if row is None or owner_of(row) != owner:
                    return None
                run = run_of(row)
                if not whatever_lease and not has_expired(connection, run):
                    return None
                close_orphan(connection, run, outcome)
                return run
        except Exception:  # of whatever kind, it is this run's, and keeps no other from being closed
            log.exception("run %s, whose process died, can't be closed", run_id)
            return None

    def cancel_stopped(self) -> list[Run]:
        """Ends the runs that wait for a person, were asked to stop, and have no process that could heed it any more.
        One that is locked is left for the next time."""
        with self._database.reading() as connection:
            stopped = [row.id for row in _STOPPED.all(connection)]
        closed = []
        for run_id in stopped:
            with self._database.writing() as connection:
                if (row := _UNLOCKED_STOPPED.first(connection, {"run_id": run_id})) is not None:
                    run = run_of(row)
                    close_orphan(connection, run, CANCELLED, stopped_by=run.stopped_by)
                    closed.append(run)
        return closed
