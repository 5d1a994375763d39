"""Runs: claiming a session, writing under the baton, giving it back. Each public method is one transaction.

A run's row is its lease. Every write of a run begins by renewing it; when there is nothing to renew, somebody
else has taken over, and BatonLost stops the writer before it has changed anything. On PostgreSQL the renewed
row stays locked until the end of the transaction, which orders the write against a take-over; SQLite has one
writer at a time anyway.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, get_args

from sqlalchemy import Connection, Text, bindparam, cast, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from app.conversation.audit_entry import Action
from app.conversation.queued_message import QUEUE_KINDS
from app.conversation.run import (
    DECISIONS,
    LIVE,
    WAITING,
    Answer,
    Baton,
    Owner,
    Probe,
    Question,
    QuestionKind,
    Run,
    RunStatus,
)
from app.conversation.session import Session
from app.errors import (
    AnsweredAlready,
    HolderGone,
    NothingToAnswer,
    NotRunning,
    RunNotFound,
    SessionBusy,
    StalePrecondition,
)
from app.store.audit_notes import note, unsay
from app.store.bulk_parameters import among, listed
from app.store.clock import ago, now
from app.store.delegated_sessions import refuse_lent
from app.store.engine import Database
from app.store.event_segments import RESERVED_NUMBERS, Segment, write_segments
from app.store.fence import QUIET, Fence, those
from app.store.full_sessions import FullSessions
from app.store.idempotency import KeyUse, free_key, use_key
from app.store.message_dedup import without_known
from app.store.prepared_statements import Prepared
from app.store.quotas import NO_LIMITS, Limits, check_budget, check_runs, count_runs
from app.store.row_mapping import Row, answer_of, dump, owner_of, owner_row, run_of, session_of
from app.store.run_adoption import Adopted, answer_given, is_parked, let_go, reserve, reserved, write_down
from app.store.run_end import LastWords, close, close_orphan
from app.store.run_request import RunRequest
from app.store.session_rows import (
    allow_tool,
    append_messages,
    approve_all_tools,
    find_session,
    next_position,
    read_messages,
    set_model,
    set_next_event,
)
from app.store.sweep_store import has_expired
from app.store.tables import IS_LIVE, messages, one_of, queued_messages, runs, sessions, tool_calls

log = logging.getLogger(__name__)

_UNFIT: Final = {
    "approval": "a tool call waits for approval, which {decision!r} does not answer",
    "elicitation": "a form waits to be filled in, which {decision!r} does not answer",
    "max_iterations": "the run asks whether it may go on: approve or reject, {decision!r} is for a tool call",
}


@dataclass(frozen=True, slots=True)
class BegunRun:
    """A claimed session: the run, the session as it was at that moment, and where its messages went."""

    run: Run
    session: Session
    first_position: int
    next_event: int
    interrupted: Run | None = None  # the dead run whose place it took
    former_model: str | None = None  # the session's, if this run changed it
    key: KeyUse | None = None  # the key that stands for the run


@dataclass(frozen=True, slots=True)
class Answered:
    """A question, what was said to it, and whose run it is now."""

    run: Run
    question: Question
    answer: Answer
    adopted: Adopted | None  # None if the run's holder takes the answer


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
_live_run: Final = select(runs).where(runs.c.session_id == bindparam("session_id"), IS_LIVE)
_LIVE_RUN: Final = Prepared(_live_run)
_LIVE_RUN_LOCKED: Final = Prepared(_live_run.with_for_update(key_share=True))
_GIVEN: Final = [column.key for column in runs.c if not column.nullable]
_LIVE_COUNTS: Final = Prepared(
    select(runs.c.status, func.count().label("number")).where(IS_LIVE).group_by(runs.c.status)
)
_RUN: Final = Prepared(select(runs).where(runs.c.id == bindparam("run_id")))
_QUESTIONS: Final = frozenset(get_args(QuestionKind))
_QUEUED: Final = Prepared(
    select(queued_messages.c.id)
    .where(
        queued_messages.c.session_id == bindparam("session_id"),
        queued_messages.c.taken_by.is_(None),
        one_of(queued_messages.c.kind, QUEUE_KINDS),  # a run can't take those of a newer version
    )
    .limit(1)
)


class RunStore:
    def __init__(self, database: Database, fence: Fence, limits: Limits = NO_LIMITS) -> None:
        self._database = database
        self._fence = fence
        self._limits = limits
        self.full = FullSessions(limits.session_bytes)
        begun = {"started_at": now(), "lease_expires_at": fence.lease()}
        self._insert_run = Prepared(insert(runs).values(begun).returning(runs), columns=_GIVEN)

    # ---- claiming and giving back

    def begin(
        self,
        run_id: str,
        request: RunRequest,
        *,
        agent: str,
        owner: Owner,
        probe: Probe,
        last_words: LastWords,
        options: Mapping[str, Any] | None = None,
    ) -> BegunRun:
        """Claims the session and stores the user's messages, both or neither; without those at the beginning that
        are the newest ones already. With them the model that the session's runs ask from now on, if there is one.
        `agent` ("key/name") and `options` are what the request has come to.

        A run whose holder is gone or whose lease has run out is closed on the way. SessionBusy, with the
        holder, for any other live run; SessionNotFound; StalePrecondition; KeyUsed if the request's key stands for
        another run already; BudgetReached, SessionFull, TooManyRuns.
        """
        session_id, key, model = request.session_id, request.idempotency, request.model
        try:
            with self._database.writing() as connection:
                row, dead = self._claimed(connection, session_id, probe, request.visible_to)
                next_event = int(row.next_event)
                if request.expected_position is not None:
                    _expect(connection, session_id, request.expected_position, request.replacing)
                check_budget(connection, row, self._limits)
                self.full.check(connection, session_id)
                check_runs(connection, row, self._limits)
                if dead is not None:
                    next_event = close_orphan(connection, dead, last_words)
                run = self.insert(connection, run_id, session_id, agent, owner, options or {}, next_event)
                new_messages = without_known(connection, session_id, request.messages)
                first = append_messages(connection, session_id, new_messages, run_id)
                set_next_event(connection, session_id, next_event + RESERVED_NUMBERS)
                if key is not None:
                    use_key(connection, key, session_id=session_id, run_id=run_id)
                asked_for = f"{request.key}/{request.name}" if request.name else request.key
                note(connection, "run", session_id, run_id=run_id, detail=asked_for)
                session = session_of(row)
                begun = BegunRun(run, session, first, next_event, dead, key=key)
                if model is None:
                    return begun
                set_model(connection, session_id, model)
                changed = replace(session, model=model)
                return replace(begun, session=changed, former_model=session.model)
        except IntegrityError as error:
            if not _is_second_live_run(error):
                raise
            # somebody was a moment faster
            raise SessionBusy(run=self.live_run(session_id)) from error

    def check(
        self,
        session_id: str,
        *,
        visible_to: str | None,
        expected_position: int | None,
        counts_runs: bool,
    ) -> None:
        """Refuses what `begin` would refuse for another reason than a busy session; takes no lock and changes
        nothing. SessionNotFound, StalePrecondition, BudgetReached, SessionFull; TooManyRuns only with
        `counts_runs`."""
        with self._database.reading() as connection:
            row = find_session(connection, session_id, owner=visible_to)
            if expected_position is not None:
                _expect(connection, session_id, expected_position)
            check_budget(connection, row, self._limits)
            self.full.check(connection, session_id)
            if counts_runs:
                count_runs(connection, row, self._limits)

    def insert(
        self,
        connection: Connection,
        run_id: str,
        session_id: str,
        agent: str,
        owner: Owner,
        options: Mapping[str, Any],
        first_event: int,
    ) -> Run:
        """A live run's row, for a transaction that has the session to itself."""
        values = {
            "id": run_id,
            "session_id": session_id,
            "agent": agent,
            "status": "running",
            "epoch": 0,
            "writes": 0,
            "code": "",
            "error": "",
            "first_event": first_event,
            "options_json": dump(options),
            **owner_row(owner),
        }
        return run_of(self._insert_run.first(connection, values))

    @contextmanager
    def holding(
        self,
        session_id: str,
        *,
        probe: Probe,
        last_words: LastWords,
        visible_to: str | None = None,
    ) -> Iterator[Connection]:
        """One transaction that has the session to itself, as a run has it: no process can begin one before it
        ends. A run whose holder is dead is closed on the way. SessionBusy, SessionNotFound."""
        with self._database.writing() as connection:
            _, dead = self._claimed(connection, session_id, probe, visible_to)
            if dead is not None:
                close_orphan(connection, dead, last_words)
            # whoever begins locks the session too: one that was faster than us is seen now
            if (row := live_run_row(connection, session_id)) is not None:
                run = run_of(row)
                raise SessionBusy(run=run, busy_code=run.busy_code)
            yield connection

    def withdraw(self, begun: BegunRun) -> None:
        """Undoes `begin`: no row of the run is left, the session has its former model, and the run's key is free.
        A dead run that `begin` closed stays closed."""
        baton = begun.run.baton
        with self._database.writing() as connection:
            self._fence.check(connection, baton)
            here = messages.c.session_id == baton.session_id
            connection.execute(delete(messages).where(here, messages.c.run_id == baton.run_id))
            set_next_event(connection, baton.session_id, begun.next_event)
            set_model(connection, baton.session_id, begun.former_model)
            free_key(connection, begun.key)
            unsay(connection, baton.session_id, baton.run_id)
            connection.execute(delete(runs).where(runs.c.id == baton.run_id))

    def release(self, run_id: str, *, words: str, reason: str = "", last_words: LastWords) -> Run:
        """Takes the baton away from a run whatever its holder does; that one can't write any more. The trail is told
        the `reason`. RunNotFound, NotRunning."""
        with self._database.writing() as connection:
            row = connection.execute(
                select(runs).where(runs.c.id == run_id).with_for_update(key_share=True)
            ).first()
            if row is None:
                raise RunNotFound()
            run = run_of(row)
            if not run.live:
                raise NotRunning()
            close_orphan(connection, run, last_words, error=words)
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
        whether messages wait in the session's queue."""
        with self._database.writing() as connection:
            self._fence.check(connection, baton)
            write_segments(connection, segments)
            if next_event is not None:
                set_next_event(connection, baton.session_id, next_event)
            last_event = None if next_event is None else next_event - 1
            close(
                connection,
                baton.run_id,
                status,
                code=code,
                error=error,
                last_event=last_event,
                stopped_by=stopped_by,
            )
            return _QUEUED.first(connection, {"session_id": baton.session_id}) is not None

    def park(self, baton: Baton, *, segments: Sequence[Segment], next_event: int) -> Answer | None:
        """Lets go of a run that waits for a person: the process that gets the answer goes on with it at once, and
        this baton can write nothing more. A run that was answered already is left as it is, and its answer returned.
        BatonLost."""
        with self._database.writing() as connection:
            self._fence.check(connection, baton)
            if not let_go(connection, baton):
                return answer_given(connection, baton)
            write_segments(connection, segments)
            set_next_event(connection, baton.session_id, next_event)
            return None

    def answer(
        self,
        session_id: str,
        answer: Answer,
        *,
        kinds: Sequence[str],
        call_id: str = "",
        adopter: Owner | None = None,
        probe: Probe | None = None,
    ) -> Answered:
        """Answers what the session's run waits for: the first answer wins, whoever gives it.

        `kinds` are the kinds of question that the answer makes sense for; one with a `question_id` is for that
        question alone. If the run has no holder that lives, it becomes the `adopter`'s in the same transaction; without
        an adopter HolderGone, for no process would take the answer. NothingToAnswer, also for a decision that the
        question does not take; AnsweredAlready with the outcome, if `call_id` names a call that was decided before.
        """
        with self._database.writing() as connection:
            row = connection.execute(
                select(runs).where(runs.c.session_id == session_id, IS_LIVE).with_for_update(key_share=True)
            ).first()
            run = run_of(row) if row else None
            question = run.waiting_for if run else None
            if run is None or question is None or run.status not in WAITING:
                raise _too_late(connection, session_id, call_id)
            if question.kind not in kinds or (call_id and question.call_id != call_id):
                raise _too_late(connection, session_id, call_id)
            if answer.question_id not in ("", question.id):
                raise NothingToAnswer()
            if answer.decision not in DECISIONS.get(question.kind, ()):
                raise NothingToAnswer(_UNFIT.get(question.kind, "").format(decision=answer.decision))
            answer = replace(answer, question_id=question.id)
            values: dict[str, Any] = {"status": "running", "waiting_for_json": None}
            values["answer_json"] = dump(asdict(answer))
            asking, run = run, replace(run, status="running", waiting_for=None)
            adopted = None
            if is_parked(run) or (probe and self._is_dead(connection, run, probe)):
                if adopter is None:
                    raise HolderGone(run=asking, busy_code=asking.busy_code)
                adopted = reserve(connection, session_id)
                run = replace(run, owner=adopter, epoch=run.epoch + 1)
                values |= {**owner_row(adopter), "epoch": run.epoch, "lease_expires_at": self._fence.lease()}
            connection.execute(update(runs).where(runs.c.id == run.id).values(values))
            write_down(connection, question, answer)
            _remember(connection, run, question, answer)
            _note_answer(connection, run, question, answer, call_id)
            self._database.notify(connection, session_id)
            return Answered(run, question, answer, adopted)

    def taken(self, run: Run, adopter: Owner) -> Answered | None:
        """The result of `answer` for a run that waited, if it was committed for this adopter although it raised
        StoreUnavailable."""
        with self._database.reading() as connection:
            row = _RUN.first(connection, {"run_id": run.id})
            if row is None or (row.epoch, owner_of(row)) != (run.epoch + 1, adopter):
                return None
            answer = answer_of(row.answer_json)
            if answer is None or run.waiting_for is None:
                return None
            return Answered(run_of(row), run.waiting_for, answer, reserved(connection, run.session_id))

    def request_stop(self, run_id: str, by: str, *, probe: Probe, last_words: LastWords) -> None:
        """Leaves word for the holder, wherever it is; if it is dead, the run is closed here and now."""
        with self._database.writing() as connection:
            live = (runs.c.id == run_id) & IS_LIVE
            row = connection.execute(select(runs).where(live).with_for_update(key_share=True)).first()
            if row is None:
                return
            if self._is_dead(connection, run_of(row), probe):
                close_orphan(connection, run_of(row), last_words, status="cancelled", stopped_by=by)
            else:
                connection.execute(update(runs).where(live).values(stop_requested=by))
                self._database.notify(connection, row.session_id)

    # ---- looking

    def quiet(self, batons: Sequence[Baton]) -> bool:
        """Has nobody said anything to any of these runs, and are all of them still held?"""
        with self._database.glance() as connection:
            return int(QUIET.scalar(connection, those(batons))) == len(batons)

    def signals(self, run_ids: Sequence[str]) -> list[Signal]:
        """People's requests to these runs, in one query."""
        with self._database.glance() as connection:
            rows = _SIGNALS.all(connection, {"those": listed(run_ids)})
        return [Signal(*row) for row in rows]

    def get(self, run_id: str) -> Run:
        with self._database.glance() as connection:
            row = _RUN.first(connection, {"run_id": run_id})
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

    def live_run(self, session_id: str) -> Run | None:
        with self._database.glance() as connection:
            row = live_run_row(connection, session_id)
            return run_of(row) if row else None

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

    # ---- inside

    def _claimed(
        self, connection: Connection, session_id: str, probe: Probe, visible_to: str | None
    ) -> tuple[Row, Run | None]:
        """The session's row, locked, and the dead run that has to be closed. SessionBusy, SessionNotFound."""
        if visible_to is not None:  # nobody is told with what another one's session is busy
            find_session(connection, session_id, owner=visible_to)
        # The run's row is locked before its session's, as every write of a run does it.
        dead = self._dead_holder(connection, session_id, probe)
        row = find_session(connection, session_id, lock=True)
        refuse_lent(connection, row)
        return row, dead

    def _dead_holder(self, connection: Connection, session_id: str, probe: Probe) -> Run | None:
        """SessionBusy if the session's run is alive, or waits for a person."""
        row = _LIVE_RUN_LOCKED.first(connection, {"session_id": session_id})
        if row is None:
            return None
        run = run_of(row)
        if run.status in WAITING or not self._is_dead(connection, run, probe):
            raise SessionBusy(run=run, busy_code=run.busy_code)
        return run

    def _is_dead(self, connection: Connection, run: Run, probe: Probe) -> bool:
        """May a caller take the run's session? A sweep, which nobody waits for, asks for more."""
        return probe(run.owner) == "gone" or has_expired(connection, run)


def live_run_row(connection: Connection, session_id: str) -> Row | None:
    return _LIVE_RUN.first(connection, {"session_id": session_id})


def _is_second_live_run(error: IntegrityError) -> bool:
    """PostgreSQL names the index that was violated, SQLite its column."""
    return any(name in str(error.orig) for name in ("one_live_run_per_session", "runs.session_id"))


def _expect(connection: Connection, session_id: str, position: int, replacing: str | None = None) -> None:
    last = next_position(connection, session_id) - 1
    if last == position or (last > position and _only_of(connection, session_id, position, replacing)):
        return
    missed = [row for row in read_messages(connection, session_id) if row.position > position]
    raise StalePrecondition(last_position=last, missed=missed)


def _only_of(connection: Connection, session_id: str, position: int, run_id: str | None) -> bool:
    """Does every message after that position belong to that run?"""
    after = (messages.c.session_id == session_id) & (messages.c.position > position)
    query = select(messages.c.run_id).where(after).distinct()
    return set(connection.execute(query).scalars()) == {run_id} - {None}


def _remember(connection: Connection, run: Run, question: Question, answer: Answer) -> None:
    """An approval may be meant for more than one call; a delegated task shares its parent's. It is stored with
    the answer, so that it counts whichever process goes on."""
    for session_id in sorted({question.session_id, run.session_id}):
        match answer.decision:
            case "approve-session":
                approve_all_tools(connection, session_id)
            case "approve-tool":
                allow_tool(connection, session_id, answer.tool_name or question.name)


def _note_answer(connection: Connection, run: Run, question: Question, answer: Answer, call_id: str) -> None:
    if question.kind == "elicitation":
        note(connection, "answer", run.session_id, run_id=run.id, detail=answer.decision)
        return
    said = " ".join(filter(None, (answer.decision, call_id, answer.tool_name, answer.reason)))
    action: Action = "reject" if answer.decision == "reject" else "approve"
    note(connection, action, run.session_id, run_id=run.id, detail=said)


def _too_late(connection: Connection, session_id: str, call_id: str) -> NothingToAnswer | AnsweredAlready:
    query = select(tool_calls).where(tool_calls.c.session_id == session_id, tool_calls.c.id == call_id)
    row = connection.execute(query).first() if call_id else None
    if row is None or not row.decision:
        return NothingToAnswer()
    return AnsweredAlready(decision=row.decision, decided_by=row.decided_by, reason=row.reason)
