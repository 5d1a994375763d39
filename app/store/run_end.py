"""The end of a run's row: its open calls are closed in words, and its readers are told."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, Text, bindparam, func, select, update

from app.conversation.blocks import tool_result
from app.conversation.run import OPEN_CALL, Ending, Run, RunStatus, closing_text
from app.conversation.run_outcome import DIED, RunOutcome
from app.conversation.transcript import Message
from app.event_encoder import EventEncoder
from app.sse_format import numbered
from app.store.call_ledger import set_call
from app.store.clock import now
from app.store.event_segments import Segment, write_segments
from app.store.prepared_statements import Prepared
from app.store.session_rows import append_messages, find_session, set_next_event
from app.store.tables import one_of, runs, tool_calls

_OPEN_CALLS: Final = Prepared(
    select(tool_calls)
    .where(tool_calls.c.run_id == bindparam("run_id"), one_of(tool_calls.c.state, OPEN_CALL))
    .order_by(tool_calls.c.position)
)
_END: Final = Prepared(
    update(runs)
    .where(runs.c.id == bindparam("ended_run"))
    .values(
        status=bindparam("how"),
        code=bindparam("why"),
        error=bindparam("words"),
        ended_at=now(),
        waiting_for_json=None,
        last_event=bindparam("last"),
        stop_requested=func.coalesce(bindparam("by", type_=Text), runs.c.stop_requested),
    )
)


def close(
    connection: Connection,
    run_id: str,
    status: RunStatus,
    *,
    code: str = "",
    error: str = "",
    last_event: int | None = None,
    stopped_by: str | None = None,
) -> None:
    """Ends a run's row after closing the calls that it left open, in the order of the ledger."""
    ending: Ending = status if status in ("cancelled", "interrupted") else "failed"
    for row in _OPEN_CALLS.all(connection, {"run_id": run_id}):
        state, words = closing_text(row.started_at is not None, ending)
        set_call(connection, row.session_id, row.id, state=state, now_is="ended_at")
        content = (tool_result(row.id, words, is_error=True),)
        append_messages(connection, row.session_id, [Message("tool", content)], run_id)
    values = {
        "ended_run": run_id,
        "how": status,
        "why": code,
        "words": error,
        "last": last_event,
        "by": stopped_by,
    }
    _END.run(connection, values)


def close_orphan(
    connection: Connection,
    run: Run,
    outcome: RunOutcome = DIED,
    *,
    stopped_by: str | None = None,
) -> int:
    """Closes a run whose process died, and writes for its readers what that process could not say any more.
    Returns the number of the next event."""
    row = find_session(connection, run.session_id)
    first = int(row.next_event)
    last_events = EventEncoder().encode_all(outcome.last_events(run))
    following = first + len(last_events)
    facts = b"".join(numbered(first, last_events))
    write_segments(connection, [Segment(run.session_id, run.id, first, following - 1, facts)])
    close(
        connection,
        run.id,
        outcome.status,
        code=outcome.code,
        error=outcome.error,
        last_event=following - 1,
        stopped_by=stopped_by,
    )
    set_next_event(connection, run.session_id, following)
    return following
