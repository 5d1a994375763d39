"""A session is claimed: for a run, or for a person's own change. Each public method is one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, select
from sqlalchemy.exc import IntegrityError

from app.conversation.audit_entry import Action
from app.conversation.run import COMPACTION, WAITING, Owner, Run
from app.conversation.safety import SafetyPolicy
from app.errors import SessionBusy, StalePrecondition
from app.store.audit_notes import note, unsay
from app.store.delegated_sessions import refuse_lent
from app.store.engine import Database
from app.store.event_segments import RESERVED_NUMBERS
from app.store.fence import Fence
from app.store.full_sessions import FullSessions
from app.store.held_conversation import HeldConversation
from app.store.idempotency import free_key, use_key
from app.store.managed_rows import refuse_archived
from app.store.message_dedup import without_known
from app.store.plain_claim import begin_plainly
from app.store.prepared_statements import Prepared
from app.store.quotas import NO_LIMITS, Limits, check_budget, check_runs, count_runs
from app.store.retrying import close_again, reopen
from app.store.row_mapping import Row, run_of, session_of
from app.store.run_end import close_orphan
from app.store.run_request import RunRequest
from app.store.run_rows import BegunRun, insert_run, is_dead, is_first_run, live_run_row, new_run_row
from app.store.session_rows import (
    append_messages,
    change_session,
    find_session,
    next_position,
    read_messages,
    restore_model,
    set_model,
    set_next_event,
    set_policy,
)
from app.store.tables import messages, runs

_of_session: Final = messages.c.session_id == bindparam("of_session")
_RUNS_AFTER: Final = Prepared(
    select(messages.c.run_id).where(_of_session, messages.c.position > bindparam("position")).distinct()
)
_DELETE_MESSAGES: Final = Prepared(
    delete(messages).where(_of_session, messages.c.run_id == bindparam("of_run"))
)
_DELETE_RUN: Final = Prepared(delete(runs).where(runs.c.id == bindparam("of_run")))


NOBODY: Final[Mapping[str, tuple[bool, SafetyPolicy]]] = {}


class ClaimStore:
    def __init__(
        self, database: Database, fence: Fence, full: FullSessions, limits: Limits = NO_LIMITS
    ) -> None:
        self._database = database
        self._fence = fence
        self._full = full
        self._limits = limits

    def begin(
        self,
        run_id: str,
        request: RunRequest,
        *,
        agent: str,
        owner: Owner,
        options: Mapping[str, Any] | None = None,
        starts_thinking: bool = False,
        policy: SafetyPolicy = "",
        holders: Mapping[str, tuple[bool, SafetyPolicy]] = NOBODY,
    ) -> BegunRun:
        """Claims the session and stores the user's messages, both or neither; without those at the beginning that
        are the newest ones already. With them the model that the session's runs ask from now on, if there is one.
        `agent` ("key/name") and `options` are what the request has come to. The session's first run
        switches its thinking on with `starts_thinking`, and sets its safety `policy` unless one was chosen. If the
        session was given to one of `holders`, that agent begins, with these two as they are there.

        A run whose holder is gone or whose lease has run out is closed on the way. SessionBusy, with the
        holder, for any other live run; SessionNotFound; StalePrecondition; KeyUsed if the request's key stands for
        another run already; BudgetReached, SessionFull, TooManyRuns; for a retry NothingToRetry.
        """
        session_id, key, model = request.session_id, request.idempotency, request.model
        try:
            new = new_run_row(self._fence, run_id, session_id, agent, owner, options or {})
            unlimited = (
                self._limits.session_budget == self._limits.owner_budget == self._limits.runs_per_owner == 0
            )
            if unlimited and not self._full.knows(session_id):
                plainly = begin_plainly(self._database, request, new, starts_thinking, policy)
                if plainly is not None:
                    return plainly
            with self._database.writing() as connection:
                row, dead = self._claimed(connection, session_id, request.visible_to)
                next_event = int(row.next_event)
                if row.handed_to in holders:
                    new = {**new, "agent": row.handed_to}
                    starts_thinking, policy = holders[row.handed_to]
                if request.expected_position is not None:
                    _expect(connection, session_id, request.expected_position, request.replacing)
                if not request.messages:
                    refuse_archived(connection, session_id)
                check_budget(connection, row, self._limits)
                self._full.check(connection, session_id)
                check_runs(connection, row, self._limits)
                if dead is not None:
                    next_event = close_orphan(connection, dead)
                reopened = reopen(connection, session_id, request.retrying) if request.retrying else ()
                run = insert_run(connection, new, next_event)
                new_messages = without_known(connection, session_id, request.messages)
                first = append_messages(connection, session_id, new_messages, run_id)
                set_next_event(connection, session_id, next_event + RESERVED_NUMBERS)
                if key is not None:
                    use_key(connection, key, session_id=session_id, run_id=run_id)
                note(connection, _action(request), session_id, run_id=run_id, detail=request.named)
                begun = BegunRun(run, session_of(row), first, next_event, dead, reopened=reopened, key=key)
                begun = _with_first_choices(connection, begun, starts_thinking, policy)
                if model is None:
                    return begun
                set_model(connection, session_id, model)
                changed = replace(begun.session, model=model)
                return replace(begun, session=changed, former=begun.session)
        except IntegrityError as error:
            if not _is_second_live_run(error):
                raise
            # somebody was a moment faster
            with self._database.glance() as connection:
                row = live_run_row(connection, session_id)
            raise SessionBusy(run=run_of(row) if row else None) from error

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
            self._full.check(connection, session_id)
            if counts_runs:
                count_runs(connection, row, self._limits)

    @contextmanager
    def holding(self, session_id: str) -> Iterator[HeldConversation]:
        """One transaction that has the session to itself, as a run has it: no process can begin one before it
        ends. A run whose holder is dead is closed on the way. SessionBusy, SessionNotFound."""
        with self._database.writing() as connection:
            _, dead = self._claimed(connection, session_id, None)
            if dead is not None:
                close_orphan(connection, dead)
            # whoever begins locks the session too: one that was faster than us is seen now
            if (row := live_run_row(connection, session_id)) is not None:
                raise SessionBusy(run=run_of(row))
            yield HeldConversation(connection, session_id, self._full.limit)

    def withdraw(self, begun: BegunRun) -> None:
        """Undoes `begin`: no row of the run is left, the session has its former model, and the run's key is free.
        A dead run that `begin` closed stays closed."""
        baton = begun.run.baton
        with self._database.writing() as connection:
            self._fence.check(connection, baton)
            _DELETE_MESSAGES.run(connection, {"of_session": baton.session_id, "of_run": baton.run_id})
            set_next_event(connection, baton.session_id, begun.next_event)
            close_again(connection, baton.session_id, begun.reopened)
            if begun.former is not None:
                restore_model(connection, begun.former)
            if begun.began_thinking:
                change_session(connection, baton.session_id, thinking=False)
            if begun.began_policy:
                now = session_of(find_session(connection, baton.session_id, lock=True))
                if now.safety_policy == begun.session.safety_policy:  # else somebody has chosen meanwhile
                    set_policy(connection, baton.session_id, "")
            free_key(connection, begun.key)
            unsay(connection, baton.session_id, baton.run_id)
            _DELETE_RUN.run(connection, {"of_run": baton.run_id})

    def _claimed(
        self, connection: Connection, session_id: str, visible_to: str | None
    ) -> tuple[Row, Run | None]:
        """The session's row, locked, and the dead run that has to be closed. SessionBusy, SessionNotFound."""
        if visible_to is not None:  # nobody is told with what another one's session is busy
            find_session(connection, session_id, owner=visible_to)
        # The run's row is locked before its session's, as every write of a run does it.
        dead = self._dead_holder(connection, session_id)
        row = find_session(connection, session_id, lock=True)
        refuse_lent(connection, row)
        return row, dead

    def _dead_holder(self, connection: Connection, session_id: str) -> Run | None:
        """SessionBusy if the session's run is alive, or waits for a person."""
        row = live_run_row(connection, session_id, lock=True)
        if row is None:
            return None
        run = run_of(row)
        if run.status in WAITING or not is_dead(connection, self._fence, run):
            raise SessionBusy(run=run)
        return run


def _with_first_choices(
    connection: Connection, begun: BegunRun, starts_thinking: bool, policy: SafetyPolicy
) -> BegunRun:
    """The session's first run makes the choices that nobody has made for it."""
    session, run_id = begun.session, begun.run.id
    thinks = starts_thinking and not session.thinking
    chooses = bool(policy) and not session.safety_policy
    if not (thinks or chooses) or not is_first_run(connection, session.id, run_id):
        return begun
    if thinks:
        change_session(connection, session.id, thinking=True)
        session = replace(session, thinking=True)
    if chooses:
        set_policy(connection, session.id, policy)
        note(connection, "safety_policy", session.id, run_id=run_id, detail=policy)
        is_widest = policy == "autonomous"
        session = replace(session, tools_approved=is_widest, chosen_policy="" if is_widest else policy)
    return replace(begun, session=session, began_thinking=thinks, began_policy=chooses)


def _action(request: RunRequest) -> Action:
    if COMPACTION in request.options:
        return "compact"
    return "retry" if request.retrying else "run"


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
    found = _RUNS_AFTER.all(connection, {"of_session": session_id, "position": position})
    return {row.run_id for row in found} == {run_id} - {None}
