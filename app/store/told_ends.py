"""What clients of the Managed Agents API are told of a run that was closed from outside, or left calls open."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, select

from app.conversation.blocks import Block
from app.conversation.managed_events import (
    NOTHING_USED,
    WORKER_TOOLS,
    client_result_body,
    ending_body,
    error_body,
    given_up_body,
    is_self_hosted,
    remote_result_body,
    result_body,
    tells_error,
    unanswered_body,
)
from app.conversation.run import Run
from app.conversation.run_outcome import CANCELLED, RunOutcome
from app.door_ids import call_event_id, new_id, result_event_id, thread_id
from app.store.joined_writes import Write
from app.store.outcome_store import active
from app.store.outcomes import END
from app.store.prepared_statements import Prepared
from app.store.tables import managed_sessions
from app.store.told_events import (
    Told,
    database_time,
    event_row,
    last_body,
    open_request,
    place,
    stored,
    tell,
    waiting,
)

Json = dict[str, Any]

_SETTINGS = Prepared(
    select(managed_sessions.c.settings_json).where(managed_sessions.c.session_id == bindparam("of_session"))
)


@dataclass(frozen=True, slots=True)
class ClosedCall:
    """A call that its run left open, and the result that it was given."""

    session_id: str
    call_id: str
    result: Block


def tell_closed(connection: Connection, closed: Sequence[ClosedCall], told: Sequence[Write]) -> None:
    """Results of calls that a run of this process left open, before the events that it ends with (`told`)."""
    ending = [row for write in told for row in write.rows if "body_json" in row]
    if not ending:
        return
    session_id, number, at = ending[0]["session_id"], ending[0]["number"], ending[0]["processed_at"]
    mine = [call for call in closed if call.session_id == session_id]
    rows = [_result(connection, call, number + index, at) for index, call in enumerate(mine)]
    tell(connection, rows)
    tell(connection, [{**row, "number": row["number"] + len(mine)} for row in ending])


def tell_end(connection: Connection, run: Run, outcome: RunOutcome, closed: Sequence[ClosedCall]) -> None:
    """The end of a run whose process can't tell it any more."""
    settings = _SETTINGS.first(connection, {"of_session": run.session_id})
    if settings is None:
        return  # it is not a session of that API
    name = orjson.loads(settings.settings_json)["agent"]["name"]
    at = database_time(connection)
    rows = [_result(connection, call, 0, at) for call in closed if call.session_id == run.session_id]
    results = {row["id"] for row in rows}

    def add(said: Iterable[tuple[str, Json]]) -> None:
        rows.extend(
            event_row(run.session_id, new_id("sevt"), kind, body, at=at, number=0) for kind, body in said
        )

    add(_unfinished(connection, run, outcome))
    rows += _sent(connection, run.session_id, at, but=results)
    add(_ending(connection, run, outcome, name))
    place(connection, run.session_id, rows)
    tell(connection, rows)


def tell_given_up(connection: Connection, session_id: str) -> None:
    """The end of an outcome that no run works towards any more, of a session whose row is locked."""
    if (aim := active(connection, session_id)) is None:
        return
    body = given_up_body(aim, CANCELLED)
    rows = [event_row(session_id, new_id("sevt"), END, body, at=database_time(connection), number=0)]
    place(connection, session_id, rows)
    tell(connection, rows)


def _unfinished(connection: Connection, run: Run, outcome: RunOutcome) -> Iterator[tuple[str, Json]]:
    if start := open_request(connection, run.session_id):
        yield "span.model_request_end", unanswered_body(start)
    aim = active(connection, run.session_id)
    if aim is not None and aim.result != "pending":
        yield END, given_up_body(aim, outcome)


def _ending(connection: Connection, run: Run, outcome: RunOutcome, agent: str) -> Iterator[tuple[str, Json]]:
    why = ending_body(outcome)
    if tells_error(outcome):
        yield "session.error", error_body(outcome)
    thread = {"session_thread_id": thread_id(run.session_id), "agent_name": agent}
    yield "session.thread_status_idle", {**thread, **why}
    yield "session.usage", last_body(connection, run.session_id, "session.usage") or {"usage": NOTHING_USED}
    yield "session.status_idle", why


def _sent(connection: Connection, session_id: str, at: float, *, but: Collection[str]) -> list[Json]:
    """What clients have sent that the run did not come to; an interrupt last, for it brings the end."""
    sent = sorted(waiting(connection, session_id), key=lambda event: event.type == "user.interrupt")
    return [
        event_row(session_id, event.id, event.type, event.body, at=at, number=0, call_id=event.call_id)
        for event in sent
        if event.id not in but
    ]


def _result(connection: Connection, call: ClosedCall, number: int, at: float) -> Json:
    """A call that a client should have made has its result from now on, whatever the client sends; the client's own,
    which no run has come to, keeps its words."""
    use_id, made_id = (
        call_event_id(call.session_id, call.call_id),
        result_event_id(call.session_id, call.call_id),
    )
    use = stored(connection, call.session_id, [use_id]).get(use_id)
    kind = None if use is None else _client_result(connection, use, call)
    if kind is not None:
        event, body = made_id, client_result_body(kind, use_id, call.result)
    elif use is not None and use.type == "agent.mcp_tool_use":
        kind, event, body = "agent.mcp_tool_result", new_id("sevt"), remote_result_body(use_id, call.result)
    else:
        kind, event, body = "agent.tool_result", new_id("sevt"), result_body(use_id, call.result)
    return event_row(call.session_id, event, kind, body, at=at, number=number, call_id=call.call_id)


def _client_result(connection: Connection, use: Told, call: ClosedCall) -> str | None:
    """The type of the event by which a client makes the call; None for a call of the server's own."""
    if use.type == "agent.custom_tool_use":
        return "user.custom_tool_result"
    is_workers = use.type == "agent.tool_use" and use.body["name"] in WORKER_TOOLS
    if not is_workers or use.body.get("evaluated_permission") == "deny":
        return None
    settings = _SETTINGS.first(connection, {"of_session": call.session_id})
    if settings is None or not is_self_hosted(orjson.loads(settings.settings_json)):
        return None
    return "user.tool_result"
