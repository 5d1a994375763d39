"""What clients of the Managed Agents API are told of a run that was closed from outside, or left calls open."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

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
from app.managed_ids import call_event_id, new_id, result_event_id, thread_id
from app.store.columns import one_of
from app.store.joined_writes import Write
from app.store.managed_tables import managed_sessions, told_events
from app.store.outcome_store import active
from app.store.outcome_writes import END
from app.store.prepared_statements import Prepared
from app.store.tables import sessions
from app.store.told_events import (
    COPY,
    STEP,
    Told,
    database_time,
    event_row,
    last_body,
    open_request,
    place,
    rows_of,
    stored,
    tell,
    waiting,
)

Json = dict[str, Any]

_SETTINGS = Prepared(
    select(managed_sessions.c.settings_json).where(managed_sessions.c.session_id == bindparam("of_session"))
)

_THREADS: Final = Prepared(select(sessions.c.id).where(sessions.c.parent_id == bindparam("root")))
_STATUSES: Final = tuple(f"session.thread_status_{one}" for one in ("running", "idle", "terminated"))
_STATUS: Final = Prepared(
    select(told_events.c.type, told_events.c.body_json)
    .where(
        told_events.c.session_id == bindparam("of_session"),
        told_events.c.number.is_not(None),
        one_of(told_events.c.type, _STATUSES),
    )
    .order_by(told_events.c.number.desc())
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class ClosedCall:
    """A call that its run left open, and the result that it was given."""

    session_id: str
    call_id: str
    result: Block


def tell_closed(connection: Connection, closed: Sequence[ClosedCall], told: Sequence[Write]) -> None:
    """Results of calls that a run of this process left open, before the events that it ends with (`told`)."""
    ending = [dict(row) for row in rows_of(told)]
    if not ending:
        return
    sent = {row["id"] for row in ending}  # a client's result that came while the run ended is among them
    root, at = ending[-1]["session_id"], ending[0]["processed_at"]
    results = [row for row in _results(connection, closed, root, at) if row["id"] not in sent]
    for session_id in dict.fromkeys(row["session_id"] for row in results):
        own = [row for row in results if row["session_id"] == session_id]
        last = [row for row in ending if row["session_id"] == session_id]
        if not last:
            place(connection, session_id, own)
            continue
        first, at = last[0]["number"], last[0]["processed_at"]
        for index, row in enumerate(own):
            row.update(number=first + index, processed_at=at + index * STEP)
        for row in last:
            row["number"] += len(own)
            row["processed_at"] += len(own) * STEP
    tell(connection, results)
    tell(connection, ending)


def tell_end(connection: Connection, run: Run, outcome: RunOutcome, closed: Sequence[ClosedCall]) -> None:
    """The end of a run whose process can't tell it any more."""
    settings = _SETTINGS.first(connection, {"of_session": run.session_id})
    if settings is None:
        return  # it is not a session of that API
    agent, at = orjson.loads(settings.settings_json)["agent"], database_time(connection)
    rows = _results(connection, closed, run.session_id, at)
    results = {row["id"] for row in rows}

    def add(said: Iterable[tuple[str, Json]]) -> None:
        rows.extend(
            event_row(run.session_id, new_id("sevt"), kind, body, at=at, number=0) for kind, body in said
        )

    if agent.get("multiagent"):
        rows += _threads_end(connection, run, outcome, at)
    add(_unfinished(connection, run, outcome))
    rows += _sent(connection, run.session_id, at, but=results)
    add(_ending(connection, run, outcome, agent["name"]))
    for session_id in dict.fromkeys(row["session_id"] for row in rows):
        place(connection, session_id, [row for row in rows if row["session_id"] == session_id])
    tell(connection, rows)


def tell_given_up(connection: Connection, session_id: str) -> None:
    """The end of an outcome that no run works towards any more, of a session whose row is locked."""
    if (aim := active(connection, session_id)) is None:
        return
    body = given_up_body(aim, CANCELLED)
    rows = [event_row(session_id, new_id("sevt"), END, body, at=database_time(connection), number=0)]
    place(connection, session_id, rows)
    tell(connection, rows)


def _threads_end(connection: Connection, run: Run, outcome: RunOutcome, at: float) -> Iterator[Json]:
    """The threads that were at work, or waited for a client, are idle; the session is told so, too."""
    for thread in _THREADS.all(connection, {"root": run.session_id}):
        status = _STATUS.first(connection, {"of_session": thread.id})
        body = {} if status is None else orjson.loads(status.body_json)
        waits = body.get("stop_reason", {}).get("type") == "requires_action"
        if status is None or not (waits or status.type == "session.thread_status_running"):
            continue
        if start := open_request(connection, thread.id):
            kind = "span.model_request_end"
            yield event_row(thread.id, new_id("sevt"), kind, unanswered_body(start), at=at, number=0)
        named = {name: body[name] for name in ("session_thread_id", "agent_name")}
        event, said = new_id("sevt"), {**named, **ending_body(outcome)}
        for session_id, event_id in ((thread.id, event), (run.session_id, event + COPY)):
            yield event_row(session_id, event_id, "session.thread_status_idle", said, at=at, number=0)


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


def _results(connection: Connection, closed: Sequence[ClosedCall], root: str, at: float) -> list[Json]:
    """For the calls that clients were told of. A call that a client should have made has its result from now on,
    whatever the client sends; the client's own, which no run has come to, keeps its words, and one that has its place
    keeps that, too. It stands among the events of the session `root`, whichever thread has made the call."""
    rows = []
    for call in closed:
        use_id = call_event_id(call.session_id, call.call_id)
        use = stored(connection, call.session_id, [use_id]).get(use_id)
        if use is None:
            continue
        told = partial(event_row, at=at, number=0, call_id=call.call_id)
        kind = _client_result(connection, use, call)
        if kind is None:
            is_remote = use.type == "agent.mcp_tool_use"
            own = "agent.mcp_tool_result" if is_remote else "agent.tool_result"
            body = (remote_result_body if is_remote else result_body)(use_id, call.result)
            rows.append(told(call.session_id, new_id("sevt"), own, body))
            continue
        made_id, body = (
            result_event_id(call.session_id, call.call_id),
            client_result_body(kind, use_id, call.result),
        )
        sent = stored(connection, root, [made_id]).get(made_id)
        if sent is not None and sent.number is not None:
            continue
        if call.session_id != root:
            body["session_thread_id"] = thread_id(call.session_id)
            body = body if sent is None else sent.body
            rows.append(told(call.session_id, made_id + COPY, kind, body))
        rows.append(told(root, made_id, kind, body))
    return rows


def _sent(connection: Connection, session_id: str, at: float, *, but: Collection[str]) -> list[Json]:
    """Events of clients that the run did not come to; an interrupt last, for it brings the end."""
    sent = sorted(waiting(connection, session_id), key=lambda event: event.type == "user.interrupt")
    return [
        event_row(session_id, event.id, event.type, event.body, at=at, number=0, call_id=event.call_id)
        for event in sent
        if event.id not in but
    ]


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
