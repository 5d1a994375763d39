"""Tells clients of the Managed Agents API what a run does, in the order in which that API tells it.

session.status_running, session.thread_status_running, user.message
for each model request: span.model_request_start, agent.thinking, agent.message, agent.tool_use, span.model_request_end
agent.tool_result for each call
session.thread_status_idle, session.usage, session.status_idle
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from app.agent.loop_steps import Ask, CallEnded, Condensed, PicturesLeftOut, Step, TurnAdded
from app.conversation.blocks import Block, is_served_result, is_thinking
from app.conversation.framing import unframed
from app.conversation.managed_events import END_TURN, error_body, idle_body, result_body, served_result_body
from app.conversation.queued_message import QueuedMessage
from app.conversation.run import Answer, Question
from app.conversation.run_outcome import RunOutcome
from app.conversation.transcript import Message
from app.door_ids import call_event_id, event_id, new_id, number_in, thread_id
from app.managed.policies import Policies
from app.managed.usage import Spent, spent_of
from app.runtime.teller import Rows
from app.store.store import Store
from app.store.told_events import LastPlace, Told, event_row

Json = dict[str, Any]

_STEP: Final = 1e-6
"""Seconds between two events of one write: their times are in their order."""


class SessionTeller:
    """Of one run. Owned by its thread."""

    def __init__(
        self,
        session_id: str,
        agent: Mapping[str, Any],
        last: LastPlace,
        spent: Spent,
        look: Callable[[], Sequence[Told]],
    ) -> None:
        """`agent` is the one that was frozen into the session; `spent` what its earlier runs have used; `look` finds
        the events that clients have sent and that no run has come to, but for messages."""
        self._look = look
        self._session_id = session_id
        self._thread = {"session_thread_id": thread_id(session_id), "agent_name": agent["name"]}
        self._policies = Policies(agent["tools"])
        self._number, self._at = last.number, last.at
        self._ahead = last.now - time.monotonic()
        self._spent = spent
        self._working_since = time.monotonic()
        self._is_idle = True  # as far as clients were told
        self._fetches: set[str] = set()  # calls of web_fetch
        self._decisions: dict[str, Json] = {}  # bodies of `user.tool_confirmation`, by call
        self._asked: dict[
            str, str
        ] = {}  # open calls of the turn that need an answer: the event of each, by call

    def began(self) -> Rows:
        if not self._is_idle:
            return [*self._waiting()]
        self._is_idle = False
        self._working_since = time.monotonic()
        return [
            *self._waiting(),
            self._row("session.status_running", {}),
            self._row("session.thread_status_running", self._thread),
        ]

    def of(self, step: Step) -> Rows:
        match step:
            case TurnAdded(session_id, message) if session_id == self._session_id:
                return [*self._turn(message)]
            case CallEnded(session_id, message) if session_id == self._session_id:
                return [self._result(step.call_id, message)]
            case Ask(question) if question.kind == "approval" and question.session_id == self._session_id:
                if question.call_id not in self._decisions:  # its turn may be that of another process
                    self._asked.setdefault(
                        question.call_id, call_event_id(self._session_id, question.call_id)
                    )
                if open_events := [*self._unanswered().values()]:
                    return [*self._idle({"type": "requires_action", "event_ids": open_events})]
            case Condensed(session_id) | PicturesLeftOut(session_id) if session_id == self._session_id:
                return [self._row("agent.thread_context_compacted", {})]
        return ()

    def came(self, messages: Sequence[QueuedMessage]) -> Rows:
        return [
            self._row("user.message", {"content": contents(message)}, event=event_id(message.id))
            for message in messages
        ]

    def ended(self, outcome: RunOutcome) -> Rows:
        if outcome.status in ("finished", "cancelled"):
            return [*self._waiting(), *self._idle(END_TURN)]
        error = self._row("session.error", error_body(outcome))
        return [error, *self._idle({"type": "retries_exhausted"})]

    def answer(self, question: Question) -> Answer | None:
        """Once all calls of the turn that wait for somebody are decided, the decision on this one."""
        if question.kind != "approval" or self._unanswered():
            return None
        found = self._decisions.get(question.call_id)
        return None if found is None else decision(found, question.name)

    def _unanswered(self) -> Mapping[str, str]:
        """The events of the turn's calls that nobody has decided on, by the call."""
        for event in self._look():
            if event.call_id is not None:
                self._decisions.setdefault(event.call_id, event.body)
        return {call: event for call, event in self._asked.items() if call not in self._decisions}

    def _waiting(self) -> Iterator[Json]:
        """What clients have sent meanwhile, and is no message."""
        for event in self._look():
            if event.call_id is not None:
                self._decisions.setdefault(event.call_id, event.body)
            yield self._row(event.type, event.body, event=event.id, call_id=event.call_id)

    def _turn(self, message: Message) -> Iterator[Json]:
        start = new_id("sevt")
        yield self._row("span.model_request_start", {}, event=start)
        if any(map(is_thinking, message.content)):
            yield self._row("agent.thinking", {})
        texts = [
            {"type": "text", "text": block["text"]} for block in message.content if block["type"] == "text"
        ]
        if texts and not message.partial:
            yield self._row("agent.message", {"content": texts}, event=event_id(message.id))
        self._asked = {}
        for block in message.content:
            if block["type"] == "tool_use":
                yield self._call(block)
            elif block["type"] == "server_tool_use":
                self._spent = self._spent.with_web(searches=1)
                yield self._call(block)
            elif is_served_result(block):
                use = call_event_id(self._session_id, str(block["tool_use_id"]))
                yield self._row("agent.tool_result", served_result_body(use, block))
        usage = message.usage
        if usage is not None:
            self._spent = self._spent.with_call(usage, message.cost)
        body: Json = {
            "model_request_start_id": start,
            "model_usage": {
                "input_tokens": usage.input_tokens if usage else 0,
                "output_tokens": usage.output_tokens if usage else 0,
                "cache_read_input_tokens": usage.cache_read_tokens if usage else 0,
                "cache_creation_input_tokens": usage.cache_write_tokens if usage else 0,
            },
            "is_error": bool(message.partial),
        }
        yield self._row("span.model_request_end", body)

    def _call(self, block: Block) -> Json:
        call_id = str(block["id"])
        event, name, given = call_event_id(self._session_id, call_id), str(block["name"]), block["input"]
        body: Json = {"name": name, "input": given if isinstance(given, dict) else {}}
        permission, evaluation = self._policies.evaluate(name)
        if name == "web_fetch":
            self._fetches.add(call_id)
        if permission == "ask":
            self._asked[call_id] = event
        body["evaluated_permission"] = permission
        if evaluation is not None:
            body["evaluation"] = evaluation
        return self._row("agent.tool_use", body, event=event, call_id=call_id)

    def _result(self, call_id: str, message: Message) -> Json:
        self._asked.pop(call_id, None)
        if call_id in self._fetches:
            self._spent = self._spent.with_web(fetches=1)
        block = message.content[0]
        body = result_body(call_event_id(self._session_id, call_id), block)
        return self._row("agent.tool_result", body, call_id=call_id)

    def _idle(self, stop_reason: Json) -> Iterator[Json]:
        self._is_idle = True
        now = time.monotonic()
        self._spent = self._spent.with_seconds(now - self._working_since)
        self._working_since = now
        why = idle_body(stop_reason)
        yield self._row("session.thread_status_idle", {**self._thread, **why})
        yield self._row("session.usage", {"usage": self._spent.json()})
        yield self._row("session.status_idle", why)

    def _row(self, kind: str, body: Json, *, event: str = "", call_id: str | None = None) -> Json:
        number, at = self._place()
        return event_row(
            self._session_id, event or new_id("sevt"), kind, body, at=at, number=number, call_id=call_id
        )

    def _place(self) -> tuple[int, float]:
        self._number += 1
        self._at = max(self._ahead + time.monotonic(), self._at + _STEP)
        return self._number, self._at


class Tellers:
    """Makes the tellers of runs."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def of(self, key: str) -> Callable[[], SessionTeller] | None:
        """What makes a run's teller, by the key of its team; None for the team of an agent file."""
        number = number_in("sesn", key)
        return None if number is None else partial(self._make, str(number))

    def _make(self, session_id: str) -> SessionTeller:
        """Once for each run, and again where another process goes on with it."""
        store = self._store
        found = store.managed.get(session_id, owner=None)
        last = store.told.last_place(session_id)
        spent = spent_of(store.told.last(session_id, "session.usage"), found.session.cost)
        look = partial(store.told.waiting, session_id)
        return SessionTeller(session_id, found.settings["agent"], last, spent, look)


def contents(message: QueuedMessage) -> list[Json]:
    """Without the server's own words to the model."""
    return [dict(block) for block in unframed(message.content)]


def decision(confirmation: Mapping[str, Any], tool: str, *, by: str = "") -> Answer:
    """An answer to the run's question about a call of the tool, from the body of a `user.tool_confirmation`."""
    if confirmation["result"] == "allow":
        return Answer("approve", by=by)
    reason = confirmation.get("deny_message") or ""
    words = f"Permission to use {tool} has been rejected."
    return Answer("reject", by=by).refusing(f"{words} Rejection message: {reason}" if reason else words)
