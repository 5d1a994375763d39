"""Tells clients of the Managed Agents API what a run does whose agent has a roster: what happens in a thread is told
among the thread's own events, and what a client has to know of it among those of the session as well."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from app.agent.loop_steps import Ask, CallEnded, ChildAdded, MessagesAdded, Step, ThreadRested, TurnAdded
from app.agent.messaging import TOOLS
from app.conversation.blocks import plain_text
from app.conversation.managed_events import ending_body, error_body, idle_body, tells_error
from app.conversation.run import Answer, Question
from app.conversation.run_outcome import FINISHED, RunOutcome
from app.conversation.transcript import Message
from app.managed.event_threads import made_in, thread_named
from app.managed.pending_calls import interrupted_answer
from app.managed.session_translator import SessionTranslator
from app.managed.thread_translator import ThreadTranslator
from app.managed_ids import number_in, thread_id
from app.runtime.event_translator import Rows
from app.store.thread_store import ENDED
from app.store.told_events import COPY, THREAD_STOPS, Told

Json = dict[str, Any]

NOBODY_ASKED: Final[Mapping[str, Told]] = {}


class CoordinatorTranslator(SessionTranslator):
    """Serves one run of such an agent. One thread at a time is at work, or waits for a client."""

    def __init__(
        self,
        *parts: Any,
        asked: Mapping[str, Told],
        thread_of: Callable[[str, str, Mapping[str, Told]], ThreadTranslator],
        quiet: Collection[str],
    ) -> None:
        """`thread_of` makes the translator of a thread: by its session, its agent if that is not stored yet, and the
        calls of it that the session is idle for, which are `asked`. `quiet` are calls that send messages to
        threads: clients are told of the messages."""
        super().__init__(*parts)
        self._thread_of = thread_of
        self._quiet = {*quiet}
        self._threads: dict[str, ThreadTranslator] = {}
        self._current: ThreadTranslator | None = None
        for event in asked.values():
            self._current = self._known(made_in(self._session_id, event), asked=asked)

    def began(self) -> Rows:
        resumes = self._is_idle
        rows = [*super().began()]
        if resumes and self._current is not None and not self._current.is_over:
            rows += self._working(self._current)
        return rows

    def waiting(self) -> Rows:
        """Between the agent's turns no thread works, so interrupts of threads have nothing to stop."""
        came = super().waiting()
        stops = [event for event in self._look() if event.type == "user.interrupt" and thread_named(event)]
        others = [event for event in stops if made_in("", event) != self._session_id]
        return [*came, *self._came_to(others)]

    def of(self, step: Step) -> Rows:
        match step:
            case ChildAdded(session, messages):
                thread = self._known(session.id, session.agent)
                created = {"session_thread_id": thread.id, "agent_name": thread.name, "workflow_run_id": None}
                return [self._row("session.thread_created", created), *self._sent(thread, messages)]
            case MessagesAdded(session_id, messages) if self._begins(session_id):
                return self._sent(self._known(session_id), messages)
            case ThreadRested(session_id):
                return [*self._rested(self._known(session_id), step)]
            case Ask(question) if self._current is not None and self._current.asks(question):
                self._current.note(question)
                if open_calls := self._unanswered(question):
                    self._outputs()
                    return [*self._needing(open_calls)]
                return ()
            case CallEnded(session_id) if session_id == self._session_id and step.call_id in self._quiet:
                return ()
        if (session_id := getattr(step, "session_id", self._session_id)) != self._session_id:
            self._current = self._known(session_id)
            return [*self._of_thread(self._current, step)]
        return super().of(step)

    def answer(self, question: Question) -> Answer | None:
        thread = self._current
        if thread is not None and thread.asks(question) and self.is_interrupted(thread.session_id):
            return interrupted_answer(question)
        return super().answer(question)

    def is_interrupted(self, session_id: str) -> bool:
        thread = self._threads.get(session_id)
        if thread is not None and not thread.is_stopped:
            thread.is_stopped = bool(self._stops_of(thread))
        return thread is not None and thread.is_stopped

    def ended(self, outcome: RunOutcome) -> Rows:
        rows = super().ended(outcome)
        self._current = None
        return rows

    # ---- what happens in a thread

    def _begins(self, session_id: str) -> bool:
        """Are rows that are added to this session a message to a thread? Others come while it is at work."""
        return session_id != self._session_id and self._current is None

    def _known(
        self, session_id: str, agent: str = "", asked: Mapping[str, Told] = NOBODY_ASKED
    ) -> ThreadTranslator:
        if session_id not in self._threads:
            self._threads[session_id] = self._thread_of(session_id, agent, asked)
        return self._threads[session_id]

    def _sent(self, thread: ThreadTranslator, messages: Sequence[Message]) -> list[Json]:
        """A message goes to the thread, which begins to work on it."""
        self._current, thread.is_stopped = thread, False
        content = [{"type": "text", "text": plain_text(message.content)} for message in messages]
        sent = {"to_session_thread_id": thread.id, "to_agent_name": thread.name, "content": content}
        me = {
            "from_session_thread_id": thread_id(self._session_id),
            "from_agent_name": self._thread["agent_name"],
        }
        return [
            self._row("agent.thread_message_sent", sent),
            *self._working(thread),
            thread.told("agent.thread_message_received", {**me, "content": content}),
        ]

    def _working(self, thread: ThreadTranslator) -> list[Json]:
        thread.is_at_work = True
        return self._both(thread.status("running", {}))

    def _rested(self, thread: ThreadTranslator, step: ThreadRested) -> Iterator[Json]:
        yield from self._came_to(self._stops_of(thread))
        yield from thread.left_off()
        content = [{"type": "text", "text": step.words or "(no output)"}]
        me = {
            "to_session_thread_id": thread_id(self._session_id),
            "to_agent_name": self._thread["agent_name"],
        }
        yield thread.told("agent.thread_message_sent", {**me, "content": content})
        failed = bool(step.code) and not step.interrupted
        outcome = RunOutcome("failed", step.code, step.words, step.details) if failed else FINISHED
        if tells_error(outcome):
            yield thread.told("session.error", error_body(outcome))
            yield from self._both(thread.status("terminated", {}))
        elif not thread.is_over:
            yield from self._both(thread.status("idle", ending_body(outcome)))
        it = {"from_session_thread_id": thread.id, "from_agent_name": thread.name}
        yield self._row("agent.thread_message_received", {**it, "content": content})
        thread.is_at_work, self._current = False, None

    def _of_thread(self, thread: ThreadTranslator, step: Step) -> Iterator[Json]:
        """The events of a step of the thread. Calls that a client has to answer stand among the session's as well."""
        rows, self._spent = thread.spending(self._spent, step)
        for row in rows:
            if row["type"] == "user.custom_tool_result":  # whoever else sends one finds it in the session
                yield self._row(row["type"], _named(row, thread), event=row["id"], call_id=row["call_id"])
                yield {**row, "id": row["id"] + COPY}
                continue
            yield dict(row)
            if isinstance(step, TurnAdded) and thread.waits_for(row["call_id"]):
                yield self._copy(row, _named(row, thread))

    def _both(self, row: Json) -> list[Json]:
        """An event of a thread, and the same among those of the session."""
        return [row, self._copy(row, orjson.loads(row["body_json"]))]

    def _copy(self, row: Mapping[str, Any], body: Json) -> Json:
        return self._row(row["type"], body, event=row["id"] + COPY, call_id=row["call_id"])

    # ---- what clients say, and what they are told of both

    def _stops_of(self, thread: ThreadTranslator) -> list[Told]:
        return [
            event
            for event in self._look()
            if event.type in THREAD_STOPS and event.body.get("session_thread_id") == thread.id
        ]

    def _came_to(self, sent: Sequence[Told]) -> Iterator[Json]:
        for row in super()._came_to(sent):
            yield row
            body = orjson.loads(row["body_json"])
            number = number_in("sthr", str(body.get("session_thread_id")))
            if number is not None and str(number) != self._session_id:
                thread = self._known(str(number))
                if row["type"] in THREAD_STOPS:
                    thread.is_stopped, thread.is_over = True, thread.is_over or row["type"] == ENDED
                event, call_id = row["id"] + COPY, row["call_id"]
                yield thread.told(row["type"], body, event=event, call_id=call_id)

    def _turn(self, message: Message, broken: Collection[str]) -> Iterator[Json]:
        self._quiet |= {str(call["id"]) for call in message.calls if call["name"] in TOOLS}
        for row in super()._turn(message, broken):
            if row["call_id"] not in self._quiet:
                yield row

    def _is_told(self, question: Question) -> bool:
        return super()._is_told(question) or (self._current is not None and self._current.asks(question))

    def _unanswered(self, question: Question) -> Mapping[str, str]:
        own = super()._unanswered(question)
        return own if self._current is None else {**own, **self._current.open(question)}

    def _idle(self, why: Json) -> Iterator[Json]:
        """A thread that waited for a client is idle once more, for another reason, when the run ends."""
        thread, asks = self._current, why["stop_reason"]["type"] == "requires_action"
        if thread is not None and not thread.is_over and (thread.is_at_work or not asks):
            asked = thread.own(why["stop_reason"]["event_ids"]) if asks else ()
            own = idle_body({"type": "requires_action", "event_ids": asked}) if asked else why
            thread.is_at_work = False
            yield from thread.left_off()
            yield from self._both(thread.status("idle", own))
        yield from super()._idle(why)


def _named(row: Mapping[str, Any], thread: ThreadTranslator) -> Json:
    """The event's body, with the thread that it is from."""
    return {**orjson.loads(row["body_json"]), "session_thread_id": thread.id}
