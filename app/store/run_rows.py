"""Rows of runs, for the transactions of all stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, bindparam, insert, select

from app.conversation.run import Owner, Run
from app.conversation.session import Session
from app.store.clock import now
from app.store.fence import Fence
from app.store.idempotency import KeyUse
from app.store.joined_writes import Write
from app.store.prepared_statements import Prepared, Values
from app.store.row_mapping import Row, dump, owner_row, run_of
from app.store.tables import IS_LIVE, runs, sessions


@dataclass(frozen=True, slots=True)
class BegunRun:
    """A claimed session: the run, the session as it was at that moment, and where its messages went."""

    run: Run
    session: Session
    first_position: int
    next_event: int
    interrupted: Run | None = None  # the dead run whose place it took
    former: Session | None = None  # as it was, if this run changed its model
    began_thinking: bool = False  # the session's thinking was off before
    began_policy: bool = False  # the session had no safety policy before
    reopened: Sequence[tuple[int, str, str]] = ()  # the marks that `reopen` has changed
    key: KeyUse | None = None  # the key that stands for the run


_run: Final = select(runs).where(runs.c.id == bindparam("run_id"))
_RUN: Final = Prepared(_run)
_RUN_LOCKED: Final = Prepared(_run.with_for_update(key_share=True))
_live_run: Final = select(runs).where(runs.c.session_id == bindparam("session_id"), IS_LIVE)
_LIVE_RUN: Final = Prepared(_live_run)
_LIVE_RUN_LOCKED: Final = Prepared(_live_run.with_for_update(key_share=True))
_insert_run: Final = insert(runs).values(
    started_at=now(), lease_expires_at=now() + bindparam("lease_seconds")
)
_given: Final = [column.key for column in runs.c if not column.nullable]
_INSERT_RUN: Final = Prepared(_insert_run.returning(runs), columns=_given)
_next_event: Final = select(sessions.c.next_event).where(sessions.c.id == bindparam("of_session"))
_INSERT_RUN_IN_TURN: Final = Prepared(
    _insert_run.values(first_event=_next_event.scalar_subquery() - bindparam("taken")).returning(runs),
    columns=[name for name in _given if name != "first_event"],
)
_NOW: Final = Prepared(select(now()))
_OTHER_RUN: Final = Prepared(
    select(runs.c.id)
    .where(runs.c.session_id == bindparam("session_id"), runs.c.id != bindparam("run_id"))
    .limit(1)
)


def run_row(connection: Connection, run_id: str, *, lock: bool = False) -> Row | None:
    return (_RUN_LOCKED if lock else _RUN).first(connection, {"run_id": run_id})


def live_run_row(connection: Connection, session_id: str, *, lock: bool = False) -> Row | None:
    return (_LIVE_RUN_LOCKED if lock else _LIVE_RUN).first(connection, {"session_id": session_id})


def is_first_run(connection: Connection, session_id: str, run_id: str) -> bool:
    """Has the session had no other run than that one?"""
    return _OTHER_RUN.first(connection, {"session_id": session_id, "run_id": run_id}) is None


def has_expired(connection: Connection, run: Run) -> bool:
    """Has the run's lease run out, by the database's clock?"""
    return run.lease_expires_at < float(_NOW.scalar(connection))


def new_run_row(
    fence: Fence, run_id: str, session_id: str, agent: str, owner: Owner, options: Mapping[str, Any]
) -> Values:
    """A live run's row, but for its first event."""
    return {
        "id": run_id,
        "session_id": session_id,
        "agent": agent,
        "status": "running",
        "epoch": 0,
        "writes": 0,
        "code": "",
        "error": "",
        "options_json": dump(options),
        "lease_seconds": fence.lease_seconds,
        **owner_row(owner),
    }


def insert_run(connection: Connection, row: Values, first_event: int) -> Run:
    """For a transaction that has the session to itself."""
    return run_of(_INSERT_RUN.first(connection, {**row, "first_event": first_event}))


def inserting_run(row: Values, *, taken: int) -> Write:
    """The write of the same, whose first event is the session's next one; less as many as it sees `taken` already."""
    return Write(_INSERT_RUN_IN_TURN, [{**row, "of_session": row["session_id"], "taken": taken}], "row")


def is_dead(connection: Connection, fence: Fence, run: Run) -> bool:
    """May a caller take the run's session? A sweep, which nobody waits for, asks for more."""
    return fence.probe(run.owner) == "gone" or has_expired(connection, run)
