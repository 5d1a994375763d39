"""Translates what a run does into events of the Managed Agents API, in the order in which that API tells it.

session.status_running, session.thread_status_running, user.message
for each model request: span.model_request_start, agent.thinking, agent.message, agent.tool_use, span.model_request_end
agent.tool_result for each call
session.thread_status_idle, session.usage, session.status_idle
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from app.agent.loop_steps import (
    Ask,
    CallEnded,
    Condensed,
    ModelAsked,
    ModelRetried,
    OutcomeEvaluation,
    PicturesLeftOut,
    ServerLeftOut,
    Step,
    TurnAdded,
)
from app.agent.tool_arguments import fitted
from app.agent.tools.agent_toolset import declared
from app.conversation.blocks import Block, is_served_result, is_thinking
from app.conversation.grading import outcome_in
from app.conversation.managed_events import (
    answered_body,
    client_result_body,
    ending_body,
    error_body,
    idle_body,
    retrying_body,
    served_result_body,
    server_error_body,
    tells_error,
    unanswered_body,
)
from app.conversation.outcome import Outcome
from app.conversation.queued_message import QueuedMessage
from app.conversation.run import Answer, Question
from app.conversation.run_outcome import RunOutcome
from app.conversation.transcript import Message
from app.managed.budgets import REACHED, has_stopped
from app.managed.call_event_bodies import CallEventBodies
from app.managed.content import contents, kind_of
from app.managed.outcome_events import OutcomeEvents
from app.managed.pending_calls import OpenCall, answer_of, changed_answer, unanswered
from app.managed.policies import Policies
from app.managed.usage import Spent
from app.managed_ids import (
    call_event_id,
    event_id,
    new_id,
    result_event_id,
    thinking_event_id,
    thread_id,
)
from app.runtime.event_translator import Rows
from app.store.call_decisions import CONFIRMATION, Decided
from app.store.told_events import STEP, LastPlace, OpenWork, Told, event_row, needed_work, told_row

Json = dict[str, Any]


class SessionTranslator:
    """Of one run. Owned by its thread."""

    def __init__(
        self,
        session_id: str,
        agent: Mapping[str, Any],
        last: LastPlace,
        spent: Spent,
        look: Callable[[], Sequence[Told]],
        decided: Callable[[Sequence[str]], Mapping[str, Decided]],
        asked: Mapping[str, Told],
        policies: Policies,
        prepare: Callable[[], Sequence[Json]],
        outputs: Callable[[], None],
        find: Callable[[str], Told | None],
        workers_of: str,
        open_work: Callable[[], OpenWork],
        last_place: Callable[[], LastPlace],
        budget: Callable[[], Json | None] = lambda: None,
        outcome: Callable[[], Outcome | None] = lambda: None,
    ) -> None:
        """`agent` is the one that was frozen into the session; `spent` what its earlier runs have used; `look` finds
        the events that clients have sent and that no run has come to, but for messages; `decided` the decisions of
        clients on calls; `asked` are the calls that the session is idle for, with the event of each; `prepare` makes
        the session's directory ready, and returns errors; `outputs` makes files of what it has written; `find` finds
        an event by its id; `workers_of` is its self-hosted environment. `open_work` and `last_place` say what is stored
        of it now; `budget` finds what the session may cost now, and `outcome` what its agent is to work towards."""
        self._find_outcome = outcome
        self._defined = outcome()  # as it was when the run last looked for messages
        aim = self._defined
        self._outcomes = OutcomeEvents(None if aim is None or aim.result == "pending" else aim)
        self._prepare, self._outputs = prepare, outputs
        self._budget = budget
        self._look = look
        self._find = find
        self._decided = decided
        self._session_id = session_id
        self._environment = workers_of
        self._thread = {"session_thread_id": thread_id(session_id), "agent_name": agent["name"]}
        self._policies = policies
        self._workers = self._policies.of_workers()
        self._number, self._at = last.number, last.at
        self._ahead = last.now - time.monotonic()
        self._spent = spent
        self._working_since = time.monotonic()
        self._asked = {call: OpenCall.of(event, self._policies) for call, event in asked.items()}
        self._open_work, self._last_place = open_work, last_place
        self._is_prepared = False
        self._is_rescheduled = False  # a request has failed, and is made again soon
        self._fetches: set[str] = set()  # calls of web_fetch
        self._allowed: dict[str, Told] = {}  # confirmations that stand for the permissions of an agent file
        self._calls = CallEventBodies(self._policies, asked, find)
        self._request, self._is_idle = open_work()
        """The model's request that is under way, and whether the session is idle, as clients were told."""

    def began(self) -> Rows:
        """The session's directory is made ready whenever the session goes on, and in each process."""
        errors = self._prepare() if self._is_idle or not self._is_prepared else ()
        self._is_prepared = True
        rows = [*self._came_to(self._look())]
        if self._is_idle:
            self._is_idle, self._working_since = False, time.monotonic()
            rows += self._running()
        return [*rows, *(self._row("session.error", {"error": error}) for error in errors)]

    def waiting(self) -> Rows:
        """An interrupt waits for the end of the turn, which it brings."""
        self._defined = self._find_outcome()
        return [*self._came_to([event for event in self._look() if event.type != "user.interrupt"])]

    def of(self, step: Step) -> Rows:
        match step:
            case ModelAsked(session_id) if session_id == self._session_id:
                return [*self._asking()]
            case ModelRetried(session_id, words, status) if session_id == self._session_id:
                self._is_rescheduled = True
                return [
                    self._row("session.error", retrying_body(words, status)),
                    self._row("session.status_rescheduled", {}),
                    self._row("session.thread_status_rescheduled", self._thread),
                ]
            case ServerLeftOut(session_id) if session_id == self._session_id:
                body = server_error_body(step.server, step.words, is_unauthorized=step.is_unauthorized)
                return [self._row("session.error", body)]
            case TurnAdded(session_id, message) if session_id == self._session_id:
                return [*self._turn(message, step.broken)]
            case CallEnded(session_id, message) if session_id == self._session_id:
                return self._result(step.call_id, message)
            case Ask(question) if self._is_told(question):
                self._note(question)
                return [*self._asking_of(question)]
            case OutcomeEvaluation(session_id) if session_id == self._session_id:
                kind, body, event = self._outcomes.of(step)
                self._spent = self._spent.with_cost(step.cost)
                return [self._row(kind, body, event=event)]
            case Condensed(session_id) | PicturesLeftOut(session_id) if session_id == self._session_id:
                return [self._row("agent.thread_context_compacted", {})]
        return ()

    def came(self, messages: Sequence[QueuedMessage]) -> Rows:
        return [
            self._row(kind_of(message), self._said(message), event=event_id(message.id))
            for message in messages
        ]

    def is_interrupted(self, session_id: str) -> bool:  # noqa: ARG002 - it has no threads
        return False

    def outcome(self) -> Outcome | None:
        return self._outcomes.aim

    def _said(self, message: QueuedMessage) -> Json:
        if not (outcome_id := outcome_in(message.content)):
            return {"content": contents(message)}
        if self._defined is not None:
            self._outcomes.begin(self._defined)
        return {"outcome_id": outcome_id}  # the event is there already, and gets its place

    def ended(self, outcome: RunOutcome) -> Rows:
        self._outputs()
        sent = self._look()
        self._recall()
        rows = [*self._unanswered_request()]
        if has_stopped(self._budget(), outcome):
            return [*rows, *self._came_to(sent), *self._idle(idle_body(REACHED))]
        rows += [self._row(kind, body, event=event) for kind, body, event in self._outcomes.ended(outcome)]
        rows += self._came_to(sent)
        if tells_error(outcome):
            rows.append(self._row("session.error", error_body(outcome)))
        return [*rows, *self._idle(ending_body(outcome))]

    def answer(self, question: Question) -> Answer | None:
        """Once all calls of the turn that wait for somebody are decided, the decision on this one."""
        if not self._is_told(question):
            return None
        if self._is_changed(question):
            return changed_answer()
        if self._unanswered(question):
            return None
        return answer_of(self._decided([question.call_id]).get(question.call_id), question)

    def _is_told(self, question: Question) -> bool:
        is_for_client = question.kind == "elicitation" and bool(self._policies.result_type(question.name))
        return question.session_id == self._session_id and (question.kind == "approval" or is_for_client)

    def _open(self, call_id: str, tool: str) -> None:
        asks = tool not in self._policies.custom and self._policies.evaluate(tool)[0] == "ask"
        event = call_event_id(self._session_id, call_id)
        result, alone = self._policies.result_type(tool), self._policies.judged_late
        self._asked[call_id] = OpenCall(event, tool, asks, result, alone=alone)

    def _note(self, question: Question) -> None:
        """Its turn may be that of another process."""
        if question.call_id not in self._asked:
            self._open(question.call_id, question.name)

    def _unanswered(self, question: Question) -> Mapping[str, str]:
        """The events of the turn's calls that keep the run from going on with this one."""
        return unanswered(self._asked, self._known_of(self._asked), question)

    def _known_of(self, calls: Collection[str]) -> Mapping[str, Decided]:
        """The decisions on these calls, with the confirmations that are about to be stored."""
        known = dict(self._decided([*calls]))
        for call, event in self._allowed.items():
            if call in calls and known.get(call, Decided()).confirmation is None:
                known[call] = known.get(call, Decided()).having(event)
        return known

    def _is_changed(self, question: Question) -> bool:
        """A worker makes a call as clients were told of it: not with arguments that a person or a hook has changed."""
        arguments = question.details.get("arguments")
        call = self._asked.get(question.call_id)
        if question.kind != "elicitation" or arguments is None or call is None:
            return False
        told = self._find(call.event)
        schema = next((one.schema for one in declared([call.name])), None)  # they may be spelled otherwise
        return told is not None and fitted(schema, told.body["input"]) != fitted(schema, arguments)

    def _asking_of(self, question: Question) -> Iterator[Json]:
        """A call that has come to be made has its permission: a worker is told so, where no client has given it."""
        if self._is_changed(question):
            return
        call_id, call = question.call_id, self._asked[question.call_id]
        decided = self._decided([call_id]).get(call_id, Decided())
        body = {"tool_use_id": call.event, "result": "allow"}
        is_allowed = question.kind == "elicitation" and call.asks and decided.confirmation is None
        if is_allowed:
            confirmed = event_row(self._session_id, "", CONFIRMATION, body, at=self._at, number=None)
            self._allowed[call_id] = told_row(confirmed)
        open_calls = self._unanswered(question)
        if is_allowed:
            yield self._row(CONFIRMATION, body, call_id=call_id)
        if open_calls:
            self._outputs()
            yield from self._needing(open_calls)

    def _needing(self, open_calls: Mapping[str, str]) -> Iterator[Json]:
        """The session is idle for these; a worker gets it for those that it can make now."""
        yield from self._idle(idle_body({"type": "requires_action", "event_ids": [*open_calls.values()]}))
        if not self._environment:
            return
        known = self._known_of(open_calls)
        if any(self._asked[call].is_for_worker(known.get(call)) for call in open_calls):
            yield needed_work(self._session_id, self._environment, at=self._at)

    def _came_to(self, sent: Sequence[Told]) -> Iterator[Json]:
        """What clients have sent meanwhile, and is no message; an interrupt last, for it is what comes next."""
        for event in sorted(sent, key=lambda event: event.type == "user.interrupt"):
            yield self._row(event.type, event.body, event=event.id, call_id=event.call_id)

    def _turn(self, message: Message, broken: Collection[str]) -> Iterator[Json]:
        yield from self._asking()
        if any(map(is_thinking, message.content)):
            yield self._row("agent.thinking", {}, event=thinking_event_id(message.id))
        texts = [
            {"type": "text", "text": block["text"]} for block in message.content if block["type"] == "text"
        ]
        if texts and not message.partial:
            yield self._row("agent.message", {"content": texts}, event=event_id(message.id))
        self._asked = {}
        self._allowed.clear()
        self._calls.begin_turn()
        runs = not message.partial and message.stop_reason in ("tool_use", "pause_turn")
        for block in message.content:
            if block["type"] == "tool_use":
                is_made = runs and block["id"] not in broken and "called" not in block
                yield self._call(block, is_made=is_made)
            elif block["type"] == "server_tool_use":
                self._spent = self._spent.with_web(searches=1)
                yield self._call(block, is_made=True)
            elif is_served_result(block):
                use = call_event_id(self._session_id, str(block["tool_use_id"]))
                yield self._row("agent.tool_result", served_result_body(use, block))
        usage = message.usage
        if usage is not None:
            self._spent = self._spent.with_call(usage, message.cost)
        body = answered_body(self._request, usage, is_error=bool(message.partial))
        self._request = ""
        yield self._row("span.model_request_end", body)

    def _running(self) -> Iterator[Json]:
        yield self._row("session.status_running", {})
        yield self._row("session.thread_status_running", self._thread)

    def _asking(self) -> Iterator[Json]:
        if self._is_rescheduled:
            self._is_rescheduled = False
            yield from self._running()
        if not self._request:
            self._request = new_id("sevt")
            yield self._row("span.model_request_start", {}, event=self._request)

    def _unanswered_request(self) -> Iterator[Json]:
        if self._request:
            body, self._request = unanswered_body(self._request), ""
            yield self._row("span.model_request_end", body)

    def _call(self, block: Block, *, is_made: bool) -> Json:
        """A client must not make a call that was cut, or has another name or no arguments: it is told as one that is
        denied."""
        call_id = str(block["id"])
        event, name, given = call_event_id(self._session_id, call_id), str(block["name"]), block["input"]
        body: Json = {"name": name, "input": given if isinstance(given, dict) else {}}
        if name in self._policies.custom and is_made:
            self._open(call_id, name)
            return self._row("agent.custom_tool_use", body, event=event, call_id=call_id)
        kind, body = self._calls.use(call_id, name, body["input"])
        is_denied = name in self._workers and not is_made
        permission, evaluation = ("deny", None) if is_denied else self._policies.evaluate(name)
        if name == "web_fetch":
            self._fetches.add(call_id)
        if is_made and (permission == "ask" or name in self._workers):
            self._open(call_id, name)
        body["evaluated_permission"] = permission
        if evaluation is not None:
            body["evaluation"] = evaluation
        return self._row(kind, body, event=event, call_id=call_id)

    def _result(self, call_id: str, message: Message) -> Rows:
        """A client that has made the call has told its result itself."""
        told = self._asked.pop(call_id, None)
        decided = self._decided([call_id]).get(call_id) if self._policies.custom or self._workers else None
        if call_id in self._fetches:
            self._spent = self._spent.with_web(fetches=1)
        block, event = message.content[0], call_event_id(self._session_id, call_id)
        if decided is not None and decided.result is not None:
            return ()
        if told is None or not told.result or (decided is not None and decided.is_denied):
            return [self._row(*self._calls.result(call_id, event, block), call_id=call_id)]
        body = client_result_body(told.result, event, block)
        result = result_event_id(self._session_id, call_id)
        return [self._row(told.result, body, event=result, call_id=call_id)]

    def _idle(self, why: Json) -> Iterator[Json]:
        now, self._is_idle = time.monotonic(), True
        self._spent = self._spent.with_seconds(now - self._working_since)
        self._working_since = now
        yield self._row("session.thread_status_idle", {**self._thread, **why})
        budget = self._budget()
        usage: Json = {"usage": self._spent.json()}
        yield self._row("session.usage", usage if budget is None else {**usage, "budget": budget})
        yield self._row("session.status_idle", why)

    def _recall(self) -> None:
        """A write that has failed for good has told nothing, whatever was to be told with it."""
        last = self._last_place()
        if last.number != self._number:
            self._request, self._is_idle = self._open_work()
            self._number, self._at = last.number, last.at

    def _row(self, kind: str, body: Json, *, event: str = "", call_id: str | None = None) -> Json:
        number, at = self._place()
        return event_row(
            self._session_id, event or new_id("sevt"), kind, body, at=at, number=number, call_id=call_id
        )

    def _place(self) -> tuple[int, float]:
        self._number += 1
        self._at = max(self._ahead + time.monotonic(), self._at + STEP)
        return self._number, self._at
