"""A turn that failed is taken up again: part of the transaction that claims the session for another run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, bindparam, or_, select, update

from app.conversation.run import COMPACTION, RETRIES, Run
from app.conversation.transcript import CUT, HIDDEN, RETRIED, Message
from app.errors import NothingToRetry, SessionBusy
from app.store.prepared_statements import Prepared
from app.store.row_mapping import run_of
from app.store.session_rows import read_messages
from app.store.tables import messages, runs

_LAST_TURN: Final = Prepared(
    select(runs)
    .where(
        runs.c.session_id == bindparam("session_id"),
        runs.c.options_json.not_like(f'%"{COMPACTION}":%'),  # inside a text its quotes would be escaped
    )
    .order_by(runs.c.started_at.desc(), runs.c.id)
    .limit(1)
)
_here: Final = messages.c.session_id == bindparam("of_session")
_REFUSED: Final = Prepared(
    select(messages.c.position).where(
        _here,
        messages.c.partial == "refused",
        or_(messages.c.run_id == bindparam("last"), messages.c.run_id == bindparam("first")),
    )
)
_MARK: Final = Prepared(
    update(messages).where(_here, messages.c.position == bindparam("there")), columns=["partial"]
)


def last_turn(connection: Connection, session_id: str) -> Run | None:
    """The session's newest run that was more than a compaction."""
    row = _LAST_TURN.first(connection, {"session_id": session_id})
    return None if row is None else run_of(row)


def reopen(connection: Connection, session_id: str, run_id: str) -> Sequence[tuple[int, str, str]]:
    """Makes the conversation what the run's model was asked about: an answer that was cut is not shown to it again, and
    what it refused is. The messages that it is shown, or not shown, unlike before: their positions, with the marks that
    they had and have now. NothingToRetry, if the run has not failed, is not the last one, or was answered all the
    same; SessionBusy if another request was a moment faster."""
    last = last_turn(connection, session_id)
    if last is not None and last.live:
        raise SessionBusy(run=last)
    if last is None or last.id != run_id or not last.has_failed:
        raise NothingToRetry()
    rows = read_messages(connection, session_id)
    those = {"of_session": session_id, "last": last.id, "first": last.options.get(RETRIES, last.id)}
    marks = [(row.position, "refused", "") for row in _REFUSED.all(connection, those)]
    if (cut := _cut_answer(rows)) is not None:
        marks.append((cut.position, cut.partial, RETRIED))
    now = {position: after for position, _, after in marks}
    shown = [row for row in rows if now.get(row.position, row.partial) not in HIDDEN]
    if not shown or (shown[-1].role == "assistant" and shown[-1].stop_reason != "pause_turn"):
        raise NothingToRetry()
    _mark(connection, session_id, [(position, after) for position, _, after in marks])
    return marks


def close_again(connection: Connection, session_id: str, marks: Sequence[tuple[int, str, str]]) -> None:
    """Undoes `reopen`."""
    _mark(connection, session_id, [(position, before) for position, before, _ in marks])


def _cut_answer(rows: Sequence[Message]) -> Message | None:
    """What the conversation ends with, if it is an answer that was cut. One with calls is answered by their results."""
    last = next((row for row in reversed(rows) if not row.is_hidden), None)
    return last if last is not None and last.role == "assistant" and last.partial in CUT else None


def _mark(connection: Connection, session_id: str, marks: Sequence[tuple[int, str]]) -> None:
    for position, partial in marks:
        _MARK.run(connection, {"of_session": session_id, "there": position, "partial": partial})
