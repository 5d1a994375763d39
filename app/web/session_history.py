"""The route that tells everything that happened in a session, as who followed it has seen it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, Literal, NotRequired

from flask import Response
from typing_extensions import TypedDict

from app import errors
from app.conversation.run import CallState
from app.conversation.wire_content import message_id_of
from app.runtime.session_history import (
    EndedBadly,
    Entry,
    Said,
    SessionHistory,
    SummedUp,
    TaskBegan,
    TaskEnded,
    Told,
)
from app.store.history_store import CallFate
from app.store.store import Store
from app.web.access import owner
from app.web.json_streaming import PAGE, Listed, object_response
from app.web.message_json import ChatMessageJson, message_payload
from app.web.resource import Resource, ResponseSpec, get
from app.web.response_json import Json, without_empty
from app.web.run_json import RunJson, run_payload
from app.web.session_json import SessionDetailJson, SessionView


class CallFateJson(TypedDict):
    """`decision`: what a person has said to the question whether it may run; `decided_by` and `reason` belong to it."""

    state: CallState
    decision: NotRequired[str]
    decided_by: NotRequired[str]
    reason: NotRequired[str]


class EntryJson(TypedDict):
    """`depth` counts the tasks around it; `position` is that of the message that it belongs to, in its own session.
    `agentName`, `message`, `implicit`, `partial` and `calls` are those of a `message`; `calls` says by their ids how
    the calls are that it makes. `task`, the session of a task, `call_id`, `from_agent` and `to_agent` belong to a
    `task` and to a `task_ended`, which may have an `error`; `summary` to a `summary`, `run` to a `run_ended`, and
    `event` to a `note`: the event that told it."""

    type: Literal["message", "task", "task_ended", "summary", "run_ended", "note"]
    session_id: str
    depth: int
    position: int
    agentName: NotRequired[str]
    message: NotRequired[ChatMessageJson]
    implicit: NotRequired[bool]
    partial: NotRequired[str]
    calls: NotRequired[Mapping[str, CallFateJson]]
    task: NotRequired[str]
    call_id: NotRequired[str]
    from_agent: NotRequired[str]
    to_agent: NotRequired[str]
    error: NotRequired[str]
    summary: NotRequired[str]
    run: NotRequired[RunJson]
    event: NotRequired[Json]


class HistoryJson(SessionDetailJson):
    """A session without `messages`. `first_of_run`: the position of the first message of the run at work; its events
    tell again what happened from there on."""

    history: list[EntryJson]
    cost: float
    first_of_run: NotRequired[int]


_TYPES: Final[Mapping[type[Entry], str]] = {
    Said: "message",
    TaskBegan: "task",
    TaskEnded: "task_ended",
    SummedUp: "summary",
    EndedBadly: "run_ended",
    Told: "note",
}


class SessionHistoryResource(Resource):
    """Whole histories, for those who may see the session."""

    name = "looking"
    prefix = "/api/sessions/<session:session_id>"

    def __init__(self, store: Store) -> None:
        self._store = store
        self._view = SessionView(store)

    @get(
        "/history",
        "Tells what happened in a session and in its tasks",
        answers={200: ResponseSpec("The session, with its history.", HistoryJson)},
        refusals=(errors.SessionNotFound,),
    )
    def history(self, session_id: str) -> Response:
        """Messages, those of tasks between those of their giver; summaries; and runs that did not end well."""
        rows = self._store.histories.read(session_id, owner=owner())
        pages = self._pages(SessionHistory(self._store, rows).entries())
        after: dict[str, Any] = {**self._view.fields(rows.session, rows.run), "cost": rows.session.cost}
        if rows.first_of_run is not None:
            after["first_of_run"] = rows.first_of_run
        before = {key: after.pop(key) for key in ("id", "title")}
        return object_response(Listed(before, "history", pages, after, always=True))

    def _pages(self, entries: Iterator[Entry]) -> Iterator[Sequence[Any]]:
        while page := [_shown(one) for one in islice(entries, PAGE)]:
            yield page


def _shown(entry: Entry) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "type": _TYPES[type(entry)],
        "session_id": entry.session_id,
        "depth": entry.depth,
        "position": entry.position,
    }
    match entry:
        case Said():
            shown |= message_payload(entry.message, {}, message_id_of(entry.session_id, entry.message))
            if entry.calls:
                shown["calls"] = {call: _fate(fate) for call, fate in entry.calls.items()}
        case TaskBegan():
            shown |= {"task": entry.task, "call_id": entry.call_id}
            shown |= {"from_agent": entry.from_agent, "to_agent": entry.to_agent}
            if isinstance(entry, TaskEnded) and entry.error:
                shown["error"] = entry.error
        case SummedUp():
            shown["summary"] = entry.summary
        case Told():
            shown["event"] = entry.event
        case EndedBadly():
            shown["run"] = run_payload(entry.run)
    return shown


def _fate(fate: CallFate) -> CallFateJson:
    body: CallFateJson = {
        "state": fate.state,
        "decision": fate.decision,
        "decided_by": fate.decided_by,
        "reason": fate.reason,
    }
    return without_empty(CallFateJson, body)
