"""How a run that waits for a person changes hands: parts of the transactions of `AnswerStore.park` and `answer`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, bindparam, select, update

from app.conversation.run import WAITING, Answer, Baton, Question, Run
from app.conversation.session import Session
from app.errors import BatonLost
from app.store.call_ledger import set_call
from app.store.columns import one_of
from app.store.event_segments import RESERVED_NUMBERS
from app.store.prepared_statements import Prepared
from app.store.row_mapping import answer_of, dump, session_of
from app.store.session_rows import find_session, set_next_event
from app.store.tables import runs, tool_calls

PARKED: Final = 0.0
"""The lease of a run that its process has let go of."""

_LET_GO: Final = Prepared(
    update(runs)
    .where(runs.c.id == bindparam("run_id"), one_of(runs.c.status, WAITING))
    .values(lease_expires_at=PARKED, epoch=runs.c.epoch + 1)
)
"""With a new epoch no baton fits any more, so that no heartbeat of the process that let go can renew the lease."""

_ANSWER: Final = Prepared(select(runs.c.answer_json).where(runs.c.id == bindparam("run_id")))
_BEGAN: Final = Prepared(
    select(tool_calls.c.started_at).where(
        tool_calls.c.session_id == bindparam("session_id"), tool_calls.c.id == bindparam("call_id")
    )
)


@dataclass(frozen=True, slots=True)
class Adopted:
    """The session and the event number with which an adopter goes on, read in the transaction that made the run its
    own."""

    session: Session
    next_event: int  # the number of its first event


def is_parked(run: Run) -> bool:
    return run.lease_expires_at == PARKED


def let_go(connection: Connection, baton: Baton) -> bool:
    """Parks the run, whose row is locked; False if it does not wait any more."""
    return bool(_LET_GO.run(connection, {"run_id": baton.run_id}))


def answer_given(connection: Connection, baton: Baton) -> Answer:
    """The answer to the run's last question. BatonLost if there is none: then it is no run that could be parked."""
    answer = answer_of(_ANSWER.scalar(connection, {"run_id": baton.run_id}))
    if answer is None:
        raise BatonLost()
    return answer


def reserve(connection: Connection, session_id: str) -> Adopted:
    """Event numbers for an adopter, behind all that its predecessor may have given."""
    row = find_session(connection, session_id, lock=True)
    set_next_event(connection, session_id, int(row.next_event) + RESERVED_NUMBERS)
    return Adopted(session_of(row), int(row.next_event))


def reserved(connection: Connection, session_id: str) -> Adopted:
    """The numbers that `reserve` has returned, for an adopter that has used none of them yet."""
    row = find_session(connection, session_id)
    return Adopted(session_of(row), int(row.next_event) - RESERVED_NUMBERS)


def write_down(connection: Connection, question: Question, answer: Answer) -> None:
    """Writes to the ledger, if the question is about a call: the decision, the arguments that it runs with if a person
    has changed them, and that a handler that asked works on."""
    if not question.call_id:
        return
    here = {"session_id": question.session_id, "call_id": question.call_id}
    began = _BEGAN.scalar(connection, here) is not None
    changed = {} if answer.arguments is None else {"arguments_json": dump(answer.arguments)}
    set_call(
        connection,
        question.session_id,
        question.call_id,
        state="running" if began else "pending",
        decision=answer.decision,
        decided_by=answer.by,
        reason=answer.reason,
        **changed,
    )
