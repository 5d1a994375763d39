"""What is known of a session and of the tasks below it besides their messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, bindparam, func, literal_column, select

from app.conversation.run import FAILED_ENDS, CallState, Run
from app.conversation.session import Session
from app.conversation.summary import Summary
from app.store.columns import one_of
from app.store.engine import Database
from app.store.row_mapping import run_of, session_of, summary_of
from app.store.session_rows import find_session
from app.store.tables import (
    IS_LIVE,
    messages,
    runs,
    sessions,
    summaries,
    tool_calls,
)
from app.store.tree_store import tree_below


@dataclass(frozen=True, slots=True)
class CallFate:
    """How a call is, and who has decided what about it."""

    state: CallState
    decision: str
    decided_by: str
    reason: str


@dataclass(frozen=True, slots=True)
class BadEnd:
    """A run of the session that did not end well; `position`: that of the last message before its end, -1 for none."""

    run: Run
    position: int


@dataclass(frozen=True, slots=True)
class HistoryRows:
    """`last`: the session's newest position, -1 for none. `run`: the one at work, and `first_of_run` the position of
    its first message, if it has one. `tasks`: the sessions below, by id. `calls`: by session and id. `summaries`: by
    session, the oldest first. `bad_ends`: the session's own, the oldest first."""

    session: Session
    last: int
    run: Run | None
    first_of_run: int | None
    tasks: Mapping[str, Session]
    calls: Mapping[tuple[str, str], CallFate]
    summaries: Mapping[str, Sequence[Summary]]
    bad_ends: Sequence[BadEnd]


class HistoryStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, session_id: str, *, owner: str | None = None) -> HistoryRows:
        """All as of one moment. SessionNotFound."""
        here = {"root": session_id}
        with self._database.reading() as connection:
            top = session_of(find_session(connection, session_id, owner=owner))
            live = connection.execute(_LIVE, here).first()
            made: dict[str, list[Summary]] = {}
            for row in connection.execute(_SUMMARIES, here):
                made.setdefault(row.session_id, []).append(summary_of(row))
            return HistoryRows(
                top,
                connection.execute(_LAST, here).scalar_one(),
                None if live is None else run_of(live),
                None if live is None else _first_of(connection, session_id, live.id),
                {row.id: session_of(row) for row in connection.execute(_BELOW, here)},
                {(row[0], row[1]): CallFate(*row[2:]) for row in connection.execute(_CALLS, here)},
                made,
                _bad_ends(connection, here),
            )


def _first_of(connection: Connection, session_id: str, run_id: str) -> int | None:
    first: int | None = connection.execute(_FIRST, {"root": session_id, "of_run": run_id}).scalar()
    return first


def _bad_ends(connection: Connection, here: Mapping[str, str]) -> list[BadEnd]:
    """A run without messages of its own is placed by the time of its end."""
    ended = [run_of(row) for row in connection.execute(_BAD_ENDS, here)]
    if not ended:
        return []
    last = {row[0]: row[1] for row in connection.execute(_LAST_OF_THEM, here)}
    for run in ended:
        if run.id not in last:
            last[run.id] = connection.execute(_LAST_THEN, {**here, "then": run.ended_at or 0}).scalar_one()
    return [BadEnd(run, last[run.id]) for run in ended]


_TREE: Final = tree_below("root")
_THOSE: Final = select(_TREE.c.id)
_own: Final = messages.c.session_id == bindparam("root")
_BELOW: Final = select(sessions).where(sessions.c.id.in_(_THOSE), sessions.c.id != bindparam("root"))
_LIVE: Final = select(runs).where(runs.c.session_id == bindparam("root"), IS_LIVE)
_LAST: Final = select(func.coalesce(func.max(messages.c.position), -1)).where(_own)
_FIRST: Final = select(func.min(messages.c.position)).where(_own, messages.c.run_id == bindparam("of_run"))
_SUMMARIES: Final = (
    select(summaries)
    .where(summaries.c.session_id.in_(_THOSE), summaries.c.summary != literal_column("''"))
    .order_by(summaries.c.session_id, summaries.c.number)
)
_CALLS: Final[Any] = select(
    tool_calls.c.session_id,
    tool_calls.c.id,
    tool_calls.c.state,
    tool_calls.c.decision,
    tool_calls.c.decided_by,
    tool_calls.c.reason,
).where(tool_calls.c.session_id.in_(_THOSE))
_BAD: Final = (runs.c.session_id == bindparam("root"), one_of(runs.c.status, FAILED_ENDS))
_BAD_ENDS: Final = select(runs).where(*_BAD).order_by(runs.c.started_at, runs.c.id)
_LAST_OF_THEM: Final[Any] = (
    select(messages.c.run_id, func.max(messages.c.position))
    .where(_own, messages.c.run_id.in_(select(runs.c.id).where(*_BAD)))
    .group_by(messages.c.run_id)
)
_LAST_THEN: Final = select(func.coalesce(func.max(messages.c.position), -1)).where(
    _own, messages.c.created_at <= bindparam("then")
)
