"""Events of a session of the Managed Agents API: sent, listed, and followed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from flask import Response, request

from app.agent import model_catalogue
from app.conversation.queued_message import QueuedMessage
from app.conversation.session_thread import SessionThread
from app.conversation.transcript import Message
from app.errors import Forbidden, InvalidRequest
from app.managed.bodies import Body, read
from app.managed.budgets import is_spent
from app.managed.calls import Calls, get, post
from app.managed.event_bodies import (
    CustomToolResult,
    DefineOutcome,
    Interrupt,
    SendEvents,
    SystemMessage,
    ToolConfirmation,
    UserMessage,
    UserToolResult,
    outcomes_in,
)
from app.managed.event_stream import FollowedSession, last_call
from app.managed.event_threads import is_alive, made_in, thread_named
from app.managed.files.file_sources import FileSources
from app.managed.id_validation import number_of
from app.managed.paging import event_cursor, event_page, texts
from app.managed.pending_calls import open_calls, unanswered, with_rows
from app.managed.previews import PREVIEWS
from app.managed.run_answers import KINDS, RunAnswers
from app.managed.sent_messages import sent_message
from app.managed.session_json import event_json
from app.managed.stream_poller import StreamPoller
from app.managed.tool_result_events import result_row
from app.managed_ids import new_id, thread_id
from app.runtime.manager import RuntimeManager
from app.runtime.run_control import RunControl
from app.runtime.streams.reader_factory import ReaderFactory
from app.store.idempotency import KeyUsed, answered
from app.store.managed_sessions import ManagedSession
from app.store.store import Store
from app.store.told_events import Told, event_row, told_row
from app.web.access import owner, requester
from app.web.idempotent import idempotency_key
from app.web.item_tokens import lease
from app.web.response_json import json_response
from app.web.sse import Streams
from app.web.worker_routes import OF_ITEM

Json = dict[str, Any]

MOST: Final = 1000
MAX_PREVIEWS: Final = 100
_ABOUT_CALLS: Final = (ToolConfirmation, CustomToolResult, UserToolResult)
_BEYOND_BUDGET: Final = (Interrupt, *_ABOUT_CALLS)
"""Events that a session takes which has reached its budget."""


class EventCalls(Calls):
    prefix = "/v1/sessions/<session_id>/events"

    def __init__(
        self,
        store: Store,
        control: RunControl,
        manager: RuntimeManager,
        readers: ReaderFactory,
        poller: StreamPoller,
        streams: Streams,
        run_answers: RunAnswers,
    ) -> None:
        self._store = store
        self._control = control
        self._manager = manager
        self._readers = readers
        self._poller = poller
        self._streams = streams
        self._run_answers = run_answers

    @get("", workers=[OF_ITEM])
    def page(self, session_id: str) -> Response:
        return self.listed(self._found(session_id), ordered=True)

    def listed(
        self, found: ManagedSession, thread: SessionThread | None = None, *, ordered: bool
    ) -> Response:
        """A page of the session's events, or of one of its threads; `ordered`: the request may choose an order and
        types."""
        wanted, order = event_page(most=MOST, default=MOST, ordered=ordered)
        rows = self._store.told_pages.page((thread or found).session.id, wanted)
        if (held := lease(self._store.work)) is not None:
            held.require(last_call(rows))
        shown = rows[: wanted.limit]
        behind = event_cursor(shown[-1], order) if len(rows) > wanted.limit else None
        return json_response({"data": [event_json(row) for row in shown], "next_page": behind})

    @post("", workers=[OF_ITEM])
    def send(self, session_id: str) -> Response:
        """All events are checked before one is stored. A request whose key was used before is answered as it was
        then."""
        body, number = read(SendEvents), number_of(session_id)
        before_it, held = self._found(session_id), lease(self._store.work)
        if held is not None and not all(
            isinstance(one, CustomToolResult | UserToolResult) for one in body.events
        ):
            raise Forbidden("The token of a work item sends results of tools, and nothing else.")
        use = idempotency_key(body)
        if use is not None and (before := self._store.idempotency.outcome(use)) is not None:
            return json_response(before.response)
        at, by = self._store.database.now(), requester()
        messages: list[QueuedMessage] = []
        rows: list[Json] = []
        interrupted = stopped = False
        sources = FileSources(self._store.files, owner=owner())
        for index, event in enumerate(body.events):
            place = f"events[{index}]"
            match event:
                case UserMessage() | SystemMessage() | DefineOutcome():
                    message, row = sent_message(number, event, "steer", place, at=at, by=by, sources=sources)
                    messages.append(message)
                    rows.append(row)
                case Interrupt(session_thread_id=thread):
                    if thread in (None, thread_id(number)):
                        if self._has_reached_budget(before_it) and self._store.runs.live_run(number) is None:
                            continue  # there is nothing to interrupt until the budget is changed
                        interrupted = True
                    elif is_alive(self._store, number, str(thread)):
                        stopped = True
                    else:
                        raise InvalidRequest(
                            f"session_thread_id: there is no thread {thread} that could be stopped"
                        )
                    said = {} if thread is None else {"session_thread_id": thread}
                    rows.append(event_row(number, new_id("sevt"), event.type, said, at=at, number=None))
                case ToolConfirmation():
                    rows.append(self._confirmation(number, event, at, rows))
                case CustomToolResult() | UserToolResult():
                    resolved = sources.resolved(event.content or (), place)
                    rows.append(result_row(self._store, before_it, event, resolved, at, rows))

        system = [event for event in body.events if isinstance(event, SystemMessage)]
        alone = bool(system) and len(body.events) == 1
        context = [Message("user", message.content, implicit=True) for message in messages if alone]

        def check(found: ManagedSession) -> None:
            if found.archived_at is not None:
                raise InvalidRequest(f"Session {session_id} is archived.")
            if self._has_reached_budget(found):
                self._refuse_beyond_budget(body.events)
            if system:
                _refuse_without_system_messages(found)
            if alone and self._store.runs.live_run(number) is not None:
                raise InvalidRequest(
                    "events: a system.message may stand alone only while the session is idle and waits for nothing"
                )
            if outcomes := outcomes_in(body.events):
                self._refuse_second_outcome(number, outcomes)
            speaks = any(isinstance(event, UserMessage | DefineOutcome) for event in body.events)
            if speaks and not interrupted and (pending := self._pending(number, rows)):
                raise InvalidRequest(
                    f"the session waits for an answer to {', '.join(pending)}; answer, or send user.interrupt"
                )

        try:
            stored = self._store.managed.send(
                number,
                () if alone else messages,
                rows,
                check,
                owner=owner(),
                stopped_by=by if interrupted else None,
                context=context,
                key=lambda events: answered(use, _echo(events)),
                fence=held.fence if held is not None else lambda _: None,
            )
        except KeyUsed:
            before = self._store.idempotency.outcome(use) if use is not None else None
            if before is None:
                raise
            return json_response(before.response)
        if interrupted:
            self._control.interrupt(number, by=by)
        if stopped or any(isinstance(event, _ABOUT_CALLS) for event in body.events):
            self._run_answers.give(number, by=by)
        if messages and not alone and not stored.live:
            self._manager.start_queued(number)
        return json_response(_echo(stored.events))

    @get("/stream", workers=[OF_ITEM])
    def stream(self, session_id: str) -> Response:
        return self.followed(self._found(session_id))

    def followed(self, found: ManagedSession, thread: SessionThread | None = None) -> Response:
        """The session's events as they come, or those of one of its threads. InvalidRequest for a preview that there
        is not."""
        previews = texts("event_deltas")
        for wanted in previews[: MAX_PREVIEWS + 1]:
            if wanted not in PREVIEWS or len(previews) > MAX_PREVIEWS:
                raise InvalidRequest(
                    f'event_deltas: "{wanted}" is not a valid value; expected one of {", ".join(PREVIEWS)}'
                )
        if (held := lease(self._store.work)) is not None:
            held.require(0)
        reader = FollowedSession(
            self._store,
            self._readers,
            self._poller,
            found.session.id,
            thread="" if thread is None else thread.session.id,
            previews=frozenset(previews),
            behind=request.headers.get("Last-Event-ID", ""),
            ended=found.archived_at is not None or (thread is not None and thread.ended_at is not None),
            may_see=None if held is None else held.shows,
        )
        return self._streams.respond(reader)

    def _found(self, session_id: str) -> ManagedSession:
        return self._store.managed.get(number_of(session_id), owner=owner())

    def _confirmation(
        self, session_id: str, event: ToolConfirmation, at: float, before: Sequence[Json]
    ) -> Json:
        """InvalidRequest unless the call waits for a person, or will."""
        asked = self._store.told.find(session_id, event.tool_use_id)
        if asked is None or asked.type not in ("agent.tool_use", "agent.mcp_tool_use"):
            raise InvalidRequest(f"tool_use_id: there is no tool use {event.tool_use_id} in this session")
        if asked.body.get("evaluated_permission") != "ask":
            raise InvalidRequest(f"tool_use_id: {event.tool_use_id} needs no confirmation")
        again = any((row["call_id"], row["type"]) == (asked.call_id, event.type) for row in before)
        if asked.call_id is None or again or self._is_decided(session_id, asked, asked.call_id):
            raise InvalidRequest(f"tool_use_id: {event.tool_use_id} is decided already")
        said: Json = {"tool_use_id": event.tool_use_id, "result": event.result, **thread_named(asked)}
        if event.deny_message is not None:
            said["deny_message"] = event.deny_message
        row_id = new_id("sevt")
        return event_row(session_id, row_id, event.type, said, at=at, number=None, call_id=asked.call_id)

    def _refuse_second_outcome(self, session_id: str, wanted: int) -> None:
        if wanted > 1 or (aim := self._store.outcomes.active(session_id)) is not None:
            under_way = "" if wanted > 1 or aim is None else f": {aim.id} is {aim.result}"
            raise InvalidRequest(
                f"user.define_outcome: a session works towards one outcome at a time{under_way}"
            )

    def _has_reached_budget(self, found: ManagedSession) -> bool:
        budget = found.settings.get("budget")
        return budget is not None and is_spent(budget, self._store.quotas.spent(found.session.id))

    def _refuse_beyond_budget(self, events: Sequence[Body]) -> None:
        if not all(isinstance(event, _BEYOND_BUDGET) for event in events):
            raise InvalidRequest(
                "the session has reached its budget: until that is raised or removed, it takes only "
                "user.tool_confirmation, user.tool_result, user.custom_tool_result and user.interrupt"
            )

    def _is_decided(self, session_id: str, asked: Told, call_id: str) -> bool:
        decided = self._store.decisions.of(session_id, [call_id]).get(call_id)
        if decided is not None and decided.confirmation is not None:
            return True
        call = self._store.journal.ledger(made_in(session_id, asked), call_id=call_id).get(call_id)
        return call is None or call.state not in ("pending", "awaiting_approval")

    def _pending(self, session_id: str, rows: Sequence[Json]) -> Sequence[str]:
        """The events of the calls on which the session's run waits, but for those that these rows decide on."""
        run = self._store.runs.live_run(session_id)
        if run is None or run.waiting_for is None or run.waiting_for.kind not in KINDS:
            return ()
        calls = open_calls(self._store, session_id)
        decided = with_rows(self._store.decisions.of(session_id, [*calls]), rows)
        stops = [*self._store.told.waiting(session_id), *map(told_row, rows)]
        return [*unanswered(calls, decided, run.waiting_for, stops).values()]


def _refuse_without_system_messages(found: ManagedSession) -> None:
    model = found.settings["agent"]["model"]["id"]
    if not model_catalogue.facts(model.removeprefix("anthropic/")).system_messages:
        raise InvalidRequest(
            f"system.message: {model} takes no system messages in the middle of a conversation "
            "(model_does_not_support_mid_conversation_system)"
        )


def _echo(events: Sequence[Told]) -> Json:
    return {"data": [event_json(one) for one in events]}
