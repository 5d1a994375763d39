"""Runs: their ends, and looks at them. Each public method is one transaction.

A run's row is its lease. Every write of a run begins by renewing it; when there is nothing to renew, somebody
else has taken over, and BatonLost stops the writer before it has changed anything. On PostgreSQL the renewed
row stays locked until the end of the transaction, which orders the write against a take-over; SQLite has one
writer at a time anyway.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, get_args

from sqlalchemy import Text, cast, func, or_, select

from app.conversation.run import LIVE, WAITING, Answer, Baton, Question, QuestionKind, Run, RunStatus
from app.conversation.run_outcome import RunOutcome
from app.errors import NotRunning, RunNotFound
from app.store.audit_notes import note
from app.store.bulk_parameters import among, listed
from app.store.clock import ago, now
from app.store.columns import one_of
from app.store.engine import Database
from app.store.event_segments import Segment, segment_writes
from app.store.fence import Fence, are_quiet
from app.store.joined_writes import write_at_once
from app.store.prepared_statements import Prepared
from app.store.queue_rows import waits, waits_anew
from app.store.retrying import last_turn
from app.store.row_mapping import answer_of, run_of, value_of
from app.store.run_end import End, ask_to_stop, close, close_orphan, ending_at_once
from app.store.run_rows import live_run_row, run_row
from app.store.session_rows import numbering
from app.store.tables import (
    IS_LIVE,
    runs,
    sessions,
    tool_calls,
)
from app.store.told_ends import tell_closed

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Signal:
    """A person's request to a live run, as its row has it."""

    run_id: str
    epoch: int
    status: RunStatus
    answer_json: str | None
    stop_requested: str | None

    @property
    def answer(self) -> Answer | None:
        return answer_of(self.answer_json)


_SIGNALS: Final = Prepared(
    select(runs.c.id, runs.c.epoch, runs.c.status, runs.c.answer_json, runs.c.stop_requested).where(
        among(runs.c.id, "those")
    )
)
_LIVE_COUNTS: Final = Prepared(
    select(runs.c.status, func.count().label("number")).where(IS_LIVE).group_by(runs.c.status)
)
_WAITING: Final = Prepared(
    select(runs.c.status, runs.c.waiting_for_json, now().label("now")).where(
        IS_LIVE, one_of(runs.c.status, WAITING), runs.c.waiting_for_json.is_not(None)
    )
)
_QUESTIONS: Final = frozenset(get_args(QuestionKind))


class RunStore:
    def __init__(self, database: Database, fence: Fence) -> None:
        self._database = database
        self._fence = fence

    # ---- ending

    def release(self, run_id: str, outcome: RunOutcome, *, reason: str = "") -> Run:
        """Takes the baton away from a run whatever its holder does; that one can't write any more. The trail is told
        the `reason`. RunNotFound, NotRunning."""
        with self._database.writing() as connection:
            row = run_row(connection, run_id, lock=True)
            if row is None:
                raise RunNotFound()
            run = run_of(row)
            if not run.live:
                raise NotRunning()
            close_orphan(connection, run, outcome)
            note(connection, "release", run.session_id, run_id=run_id, detail=reason)
            self._database.notify(connection, run.session_id)
            return run

    def finish(
        self,
        baton: Baton,
        status: RunStatus,
        *,
        code: str = "",
        error: str = "",
        segments: Sequence[Segment] = (),
        next_event: int | None = None,
        stopped_by: str | None = None,
    ) -> bool:
        """Ends the run: whatever call is still open is closed in words, and its last events are stored. Says
        whether messages wait in the session's queue for another run (`waits_anew`, if this one has not finished)."""
        last_event = None if next_event is None else next_event - 1
        end = End(status, code, error, last_event, stopped_by)
        writes = segment_writes(self._database.kind, segments)
        if next_event is not None:
            writes.append(numbering(baton.session_id, next_event))
        if write_at_once(self._database, ending_at_once(baton, end), [*writes, *baton.told]) is None:
            with self._database.writing() as connection:
                self._fence.check(connection, replace(baton, told=()))
                for write in writes:
                    write.do(connection)
                tell_closed(connection, close(connection, baton.run_id, end), baton.told)
        # Only now: a message that came before the end was told that this run would see it.
        with self._database.glance() as connection:
            if status in ("failed", "cancelled"):
                return waits_anew(connection, baton.session_id, baton.run_id)
            return waits(connection, baton.session_id)

    def request_stop(self, run_id: str, by: str) -> None:
        """Leaves word for the holder, wherever it is; if it is dead, the run is closed here and now."""
        with self._database.writing() as connection:
            row = run_row(connection, run_id, lock=True)
            if row is None or not (run := run_of(row)).live:
                return
            if ask_to_stop(connection, self._fence, run, by):
                self._database.notify(connection, run.session_id)

    # ---- looking

    def quiet(self, batons: Sequence[Baton]) -> bool:
        """Has nobody said anything to any of these runs, and are all of them still held?"""
        with self._database.glance() as connection:
            return are_quiet(connection, batons)

    def signals(self, run_ids: Sequence[str]) -> list[Signal]:
        """People's requests to these runs, in one query."""
        with self._database.glance() as connection:
            rows = _SIGNALS.all(connection, {"those": listed(run_ids)})
        return [Signal(*row) for row in rows]

    def get(self, run_id: str) -> Run:
        with self._database.glance() as connection:
            row = run_row(connection, run_id)
        if row is None:
            raise RunNotFound()
        return run_of(row)

    def unanswered(self, seconds: float) -> list[Run]:
        """The waiting runs that were asked so many seconds ago, by the database's clock. Without those whose kind of
        question this version doesn't know: a newer process judges them."""
        query = select(runs, now().label("now")).where(IS_LIVE, runs.c.waiting_for_json.is_not(None))
        with self._database.reading() as connection:
            found = [(run_of(row), row.now) for row in connection.execute(query)]
        return [
            run
            for run, at in found
            if (asked := run.waiting_for) and asked.kind in _QUESTIONS and at - asked.asked_at >= seconds
        ]

    def count_live(self) -> dict[str, int]:
        """How many runs hold their session, of all processes and of none, by status."""
        with self._database.glance() as connection:
            found = {row.status: int(row.number) for row in _LIVE_COUNTS.all(connection)}
        return {status: found.get(status, 0) for status in LIVE}

    def longest_waits(self) -> dict[str, float]:
        """For how many seconds the run that was asked first waits for its answer, by status; 0 where none waits."""
        with self._database.glance() as connection:
            found = _WAITING.all(connection)
        longest: dict[str, float] = dict.fromkeys(WAITING, 0.0)
        for status, question, at in found:
            if (asked := value_of(Question, question)) is not None:
                longest[status] = max(longest[status], at - asked.asked_at)
        return longest

    def live_run(self, session_id: str) -> Run | None:
        with self._database.glance() as connection:
            row = live_run_row(connection, session_id)
            return run_of(row) if row else None

    def last_turn(self, session_id: str) -> Run | None:
        """The session's newest run that was more than a compaction."""
        with self._database.glance() as connection:
            return last_turn(connection, session_id)

    def recent(
        self,
        *,
        status: Sequence[str] = (),
        session_id: str | None = None,
        owner: str | None = None,
        holder: str = "",
        older_than: float | None = None,
        limit: int = 100,
    ) -> list[Run]:
        """Newest first; `owner` narrows it to the sessions of one token, `holder` to those of a host or of a
        process ("host:pid"), `older_than` to those that began so many seconds ago."""
        query = select(runs).order_by(runs.c.started_at.desc(), runs.c.id).limit(limit)
        if status:
            query = query.where(runs.c.status.in_(status))
        if status and set(status) <= set(LIVE):
            query = query.where(IS_LIVE)  # in words that the index of live runs knows
        if session_id is not None:
            query = query.where(runs.c.session_id == session_id)
        if owner is not None:
            theirs = select(sessions.c.id).where(sessions.c.owner == owner)
            query = query.where(runs.c.session_id.in_(theirs))
        if holder:
            process = runs.c.owner_host + ":" + cast(runs.c.owner_pid, Text)
            query = query.where(or_(runs.c.owner_host == holder, process == holder))
        if older_than is not None:
            query = query.where(runs.c.started_at <= ago(older_than))
        with self._database.reading() as connection:
            return [run_of(row) for row in connection.execute(query)]

    def calling(self, run_ids: Sequence[str]) -> dict[str, str]:
        """Which of these runs are inside a tool call now, and inside which tool: the innermost, if one agent
        waits for another."""
        query = select(tool_calls.c.run_id, tool_calls.c.name).where(
            tool_calls.c.run_id.in_(run_ids), tool_calls.c.state == "running"
        )
        with self._database.reading() as connection:
            return {
                row.run_id: row.name for row in connection.execute(query.order_by(tool_calls.c.started_at))
            }
