"""Answers to what a run waits for, whichever process has it. Each public method is one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select, update

from app.conversation.audit_entry import Action
from app.conversation.changed_call import changed_parts
from app.conversation.run import DECISIONS, WAITING, Answer, Baton, Owner, Question, Run
from app.errors import AnsweredAlready, HolderGone, NothingToAnswer
from app.store.audit_notes import note
from app.store.clock import now
from app.store.engine import Database
from app.store.event_segments import Segment, write_segments
from app.store.fence import Fence
from app.store.prepared_statements import Prepared
from app.store.row_mapping import answer_of, dump, owner_of, owner_row, run_of
from app.store.run_adoption import Adopted, answer_given, is_parked, let_go, reserve, reserved, write_down
from app.store.run_rows import is_dead, live_run_row, run_row
from app.store.session_rows import allow_tool, set_next_event, set_policy
from app.store.tables import runs, tool_calls

_UNFIT: Final = {
    "approval": "a tool call waits for approval, which {decision!r} does not answer",
    "elicitation": "a form waits to be filled in, which {decision!r} does not answer",
    "max_iterations": "the run asks whether it may go on: approve or reject, {decision!r} is for a tool call",
}


@dataclass(frozen=True, slots=True)
class Answered:
    """A question, what was said to it, and whose run it is now."""

    run: Run
    question: Question
    answer: Answer
    adopted: Adopted | None  # None if the run's holder takes the answer


MAX_NOTED: Final = 200
"""Characters of each changed argument in the audit trail."""

_CALL: Final = Prepared(
    select(tool_calls).where(
        tool_calls.c.session_id == bindparam("session_id"), tool_calls.c.id == bindparam("call_id")
    )
)
_given: Final = update(runs).where(runs.c.id == bindparam("of_run")).values(waiting_for_json=None)
_ANSWER: Final = Prepared(_given, columns=["status", "answer_json"])
_ADOPT: Final = Prepared(
    _given.values(lease_expires_at=now() + bindparam("lease_seconds")),
    columns=["status", "answer_json", "epoch", "owner_host", "owner_boot", "owner_pid", "owner_started"],
)


class AnswerStore:
    def __init__(self, database: Database, fence: Fence) -> None:
        self._database = database
        self._fence = fence

    def answer(
        self,
        session_id: str,
        answer: Answer,
        *,
        kinds: Sequence[str],
        call_id: str = "",
        adopter: Owner | None = None,
        is_held_here: bool = False,
    ) -> Answered:
        """Answers what the session's run waits for: the first answer wins, whoever gives it.

        `kinds` are the kinds of question that the answer makes sense for; one with a `question_id` is for that
        question alone. If the run has no holder that lives, it becomes the `adopter`'s in the same transaction; without
        an adopter HolderGone, for no process would take the answer. A run that `is_held_here` has one, whatever its
        lease. NothingToAnswer, also for a decision that the
        question does not take; AnsweredAlready with the outcome, if `call_id` names a call that was decided before.
        """
        with self._database.writing() as connection:
            row = live_run_row(connection, session_id, lock=True)
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
            if _ends(run, question, answer):
                answer = answer.ending_run()
            change = _ANSWER
            values: dict[str, Any] = {
                "of_run": run.id,
                "status": "running",
                "answer_json": dump(asdict(answer)),
            }
            asking, run = run, replace(run, status="running", waiting_for=None)
            adopted = None
            if is_parked(run) or (not is_held_here and is_dead(connection, self._fence, run)):
                if adopter is None:
                    raise HolderGone(run=asking)
                adopted = reserve(connection, session_id)
                run = replace(run, owner=adopter, epoch=run.epoch + 1)
                change = _ADOPT
                values |= {
                    **owner_row(adopter),
                    "epoch": run.epoch,
                    "lease_seconds": self._fence.lease_seconds,
                }
            change.run(connection, values)
            write_down(connection, question, answer)
            _remember(connection, run, question, answer)
            _note_answer(connection, run, question, answer, call_id)
            self._database.notify(connection, session_id)
            return Answered(run, question, answer, adopted)

    def taken(self, run: Run, adopter: Owner) -> Answered | None:
        """The result of `answer` for a run that waited, if it was committed for this adopter although it raised
        StoreUnavailable."""
        with self._database.reading() as connection:
            row = run_row(connection, run.id)
            if row is None or (row.epoch, owner_of(row)) != (run.epoch + 1, adopter):
                return None
            answer = answer_of(row.answer_json)
            if answer is None or run.waiting_for is None:
                return None
            return Answered(run_of(row), run.waiting_for, answer, reserved(connection, run.session_id))

    def too_late(self, session_id: str, call_id: str) -> NothingToAnswer | AnsweredAlready:
        """Why there is no answer to give to a question about that call."""
        with self._database.reading() as connection:
            return _too_late(connection, session_id, call_id)

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


def _ends(run: Run, question: Question, answer: Answer) -> bool:
    """A run that gets no more turns says so and ends; a task within it ends alone."""
    own = question.session_id in ("", run.session_id)
    return question.kind == "max_iterations" and own and answer.decision != "approve"


def _remember(connection: Connection, run: Run, question: Question, answer: Answer) -> None:
    """An approval may be meant for more than one call; a delegated task shares its parent's. It is stored with
    the answer, so that it counts whichever process goes on."""
    for session_id in sorted({question.session_id, run.session_id}):
        match answer.decision:
            case "approve-session" | "approve-autonomous":
                set_policy(connection, session_id, "autonomous")
            case "approve-balanced":
                set_policy(connection, session_id, "balanced")
            case "approve-tool":
                allow_tool(connection, session_id, answer.tool_name or question.name)


def _note_answer(connection: Connection, run: Run, question: Question, answer: Answer, call_id: str) -> None:
    if question.kind == "pause":
        note(connection, "pause", run.session_id, run_id=run.id, detail=answer.decision)
        return
    if question.kind == "elicitation":
        note(connection, "answer", run.session_id, run_id=run.id, detail=answer.decision)
        return
    changes = _changes(question, answer)
    said = " ".join(filter(None, (answer.decision, call_id, answer.tool_name, answer.reason, changes)))
    action: Action = "reject" if answer.decision == "reject" else "approve"
    note(connection, action, run.session_id, run_id=run.id, detail=said)


def _changes(question: Question, answer: Answer) -> str:
    if answer.arguments is None:
        return ""
    own = question.details.get("arguments") or {}
    return f"changed: {dump(changed_parts(answer.arguments, own, longest=MAX_NOTED))}"


def _too_late(connection: Connection, session_id: str, call_id: str) -> NothingToAnswer | AnsweredAlready:
    row = _CALL.first(connection, {"session_id": session_id, "call_id": call_id}) if call_id else None
    if row is None or not row.decision:
        return NothingToAnswer()
    return AnsweredAlready(decision=row.decision, decided_by=row.decided_by, reason=row.reason)
