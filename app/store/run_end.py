"""The end of a run's row: its open calls are closed in words, and its readers are told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Text, bindparam, exists, func, select, update

from app.conversation.blocks import tool_result
from app.conversation.changed_call import told
from app.conversation.run import OPEN_CALL, Baton, Ending, Run, RunStatus, closing_text
from app.conversation.run_outcome import CANCELLED, DIED, RunOutcome
from app.conversation.transcript import Message
from app.event_encoder import EventEncoder
from app.sse_format import numbered
from app.store.call_ledger import set_call
from app.store.clock import now
from app.store.columns import one_of
from app.store.event_segments import Segment, write_segments
from app.store.fence import Fence
from app.store.joined_writes import Write, is_as_seen
from app.store.prepared_statements import Prepared
from app.store.row_mapping import Row, call_of
from app.store.run_rows import is_dead
from app.store.session_rows import append_messages, find_session, numbering
from app.store.tables import (
    IS_LIVE,
    messages,
    runs,
    tool_calls,
)
from app.store.told_ends import ClosedCall, tell_end

_OPEN_CALLS: Final = Prepared(
    select(tool_calls)
    .where(tool_calls.c.run_id == bindparam("run_id"), one_of(tool_calls.c.state, OPEN_CALL))
    .order_by(tool_calls.c.position)
)
_CONTENT: Final = Prepared(
    select(messages.c.content_json).where(
        messages.c.session_id == bindparam("of_session"), messages.c.position == bindparam("there")
    )
)
_ENDED: Final[dict[str, Any]] = {
    "status": bindparam("how"),
    "code": bindparam("why"),
    "error": bindparam("words"),
    "ended_at": now(),
    "waiting_for_json": None,
    "last_event": bindparam("last"),
    "stop_requested": func.coalesce(bindparam("by", type_=Text), runs.c.stop_requested),
}
_of_run: Final = runs.c.id == bindparam("ended_run")
_END: Final = Prepared(update(runs).where(_of_run).values(_ENDED))
_REQUEST_STOP: Final = Prepared(
    update(runs).where(runs.c.id == bindparam("of_run")), columns=["stop_requested"]
)
_has_open_calls: Final = exists().where(
    tool_calls.c.run_id == bindparam("ended_run"), one_of(tool_calls.c.state, OPEN_CALL)
)
_END_AT_ONCE: Final = Prepared(
    update(runs)
    .where(_of_run, runs.c.epoch == bindparam("held_epoch"), IS_LIVE, ~_has_open_calls, is_as_seen(runs))
    .values(_ENDED)
)


@dataclass(frozen=True, slots=True)
class End:
    """What a run's row says of its end."""

    status: RunStatus
    code: str = ""
    error: str = ""
    last_event: int | None = None
    stopped_by: str | None = None

    def values(self, run_id: str) -> dict[str, Any]:
        return {
            "ended_run": run_id,
            "how": self.status,
            "why": self.code,
            "words": self.error,
            "last": self.last_event,
            "by": self.stopped_by,
        }


def ending_at_once(baton: Baton, end: End) -> Write:
    """Ends the row of a run that has its baton and no open call; finds no row if it is not so."""
    return Write(_END_AT_ONCE, [{**end.values(baton.run_id), "held_epoch": baton.epoch}])


def close(connection: Connection, run_id: str, end: End) -> list[ClosedCall]:
    """Ends a run's row after closing the calls that it left open, in the order of the ledger; which these are."""
    closed = []
    ending: Ending = end.status if end.status in ("cancelled", "interrupted") else "failed"
    for row in _OPEN_CALLS.all(connection, {"run_id": run_id}):
        began = row.started_at is not None
        state, words = closing_text(began, ending)
        if began and (line := _changed(connection, row)):
            words = f"{line}\n\n{words}"
        set_call(connection, row.session_id, row.id, state=state, now_is="ended_at")
        result = tool_result(row.id, words, is_error=True)
        append_messages(connection, row.session_id, [Message("tool", (result,))], run_id)
        closed.append(ClosedCall(row.session_id, row.id, result))
    _END.run(connection, end.values(run_id))
    return closed


def _changed(connection: Connection, row: Row) -> str:
    """The line that tells the model with what arguments a call ran that a person had changed; empty for any other."""
    call = call_of(row)
    if call.decision != "approve":
        return ""
    content = _CONTENT.scalar(connection, {"of_session": row.session_id, "there": row.position})
    blocks = orjson.loads(content) if content else ()
    own = next((block["input"] for block in blocks if block.get("id") == call.id), call.arguments)
    return told(call.arguments, own, began=True) if call.is_changed(own) else ""


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
    end = End(outcome.status, outcome.code, outcome.error, following - 1, stopped_by)
    tell_end(connection, run, outcome, close(connection, run.id, end))
    numbering(run.session_id, following).do(connection)
    return following


def ask_to_stop(connection: Connection, fence: Fence, run: Run, by: str) -> bool:
    """Leaves word for the holder of a live run whose row is locked; says whether the run is live still. One whose
    holder is dead is closed here and now."""
    if is_dead(connection, fence, run):
        close_orphan(connection, run, CANCELLED, stopped_by=by)
        return False
    _REQUEST_STOP.run(connection, {"of_run": run.id, "stop_requested": by})
    return True
