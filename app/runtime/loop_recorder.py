"""Follows a loop: stores each fact, then publishes the events that tell of it, and brings answers back."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from app.agent.loop_steps import (
    AgentChanged,
    Ask,
    CallEnded,
    CallStarting,
    ChildAdded,
    Condensed,
    Fact,
    MessagesAdded,
    ModelAsked,
    ModelRetried,
    Notice,
    OutcomeEvaluation,
    PicturesLeftOut,
    PromptFrozen,
    SafePoint,
    ServerLeftOut,
    Spent,
    Step,
    Steps,
    ThreadRested,
    TurnAdded,
    TurnRefused,
)
from app.conversation.events import ElicitationRequest, Event, MaxIterationsReached, RuntimePaused
from app.conversation.frozen_prompt import FrozenPrompt
from app.conversation.queued_message import CAPACITY, QueuedMessage, QueueKind
from app.conversation.run import Answer, Baton, CallState, Question
from app.conversation.transcript import Message
from app.errors import AnsweredAlready, BatonLost, NothingToAnswer, RunCancelled, StoreUnavailable
from app.runtime.event_translator import Rows
from app.runtime.live_run import LiveRun, RunParked
from app.runtime.tool_metrics import ToolMetrics
from app.store.fence import WrittenAlready
from app.store.store import Store
from app.telemetry.telemetry import Telemetry

T = TypeVar("T")

log = logging.getLogger(__name__)


class Recorder:
    """Owned by the run's thread. Any of its writes may raise BatonLost or StoreUnavailable."""

    def __init__(self, store: Store, live: LiveRun, telemetry: Telemetry) -> None:
        self._store = store
        self._live = live
        self._metrics = telemetry.metrics
        self._calls = ToolMetrics(telemetry)
        self._silent = True
        self._writes = live.run.writes  # those of an earlier holder included
        self._open_calls = 0  # of the last turn
        self._prompts: dict[str, FrozenPrompt] = {}  # that nothing was said under yet, by digest

    def follow(self, steps: Steps) -> None:
        """Drives the loop to its end; the loop's exceptions pass through, ours close it first."""
        reply: Any = None
        try:
            while True:
                reply = self._take(steps.send(reply))
        except StopIteration:
            return
        finally:
            steps.close()
            self._calls.close()

    def tell(self, rows: Rows) -> None:
        """Stores events for the clients of another door."""
        if rows:
            self._patiently(self._store.journal.tell, rows)

    def _notice(self, notice: Notice) -> None:
        if rows := self._told_of(notice):
            self._patiently(self._store.journal.tell_soon, rows)

    def _told_of(self, step: Step) -> Rows:
        translator = self._live.translator
        return () if translator is None else self._live.patience(translator.of, step)

    def _take(self, step: Step) -> Any:
        match step:
            case Event():
                return self._publish(step)
            case Ask():
                return self._ask(step)
            case SafePoint():
                return self._safe_point(step)
            case ModelAsked() | ModelRetried() | ServerLeftOut() | ThreadRested():
                return self._notice(step)
            case _:
                return self._record(step)

    def _publish(self, event: Event) -> None:
        self._live.publish(event)
        if self._silent:
            self._silent = False
            self._metrics.first_event(time.monotonic() - self._live.asked_at)

    def _record(self, fact: Fact) -> None:
        if isinstance(fact, PromptFrozen):
            # Stored with the first turn under it: one transaction less, and nobody misses one without a turn.
            self._prompts[fact.prompt.digest] = fact.prompt
            return
        prompt = self._prompts.pop(fact.message.prompt, None) if isinstance(fact, TurnAdded) else None
        self._live.known.forget_quiet()
        self._patiently(lambda baton: self._write(fact, baton, prompt), self._told_of(fact))
        self._calls.see(fact)
        if isinstance(fact, AgentChanged):
            self._live.hand_over(fact.session_id, fact.agent)

    def _safe_point(self, point: SafePoint) -> Sequence[Message]:
        """Lets in what waits for this session: all steers, and one follow-up if the run would end now. The loop tells
        of them."""
        run, reads = self._live.run, self._store.reads
        is_own = point.session_id == run.session_id
        if point.ending and not is_own:
            return ()
        if is_own and self._live.stops_at_safe_point:
            raise RunCancelled()
        if self._live.known.is_quiet(self._store.queue.additions):
            return ()
        look = self._live.patience(reads.look, run.session_id)
        if look.session.choices.pause and not point.ending:
            self._pause(point)
            look = self._live.patience(reads.look, run.session_id)
        if not is_own:
            return ()  # a delegated task; what is said meanwhile is meant for the one who delegated
        self._live.known.see(look.session)
        if self._live.translator is not None:
            self.tell(self._live.patience(self._live.translator.waiting))
        if not look.steers and not (point.ending and look.followups):
            return ()
        kinds: list[tuple[QueueKind, int]] = [("steer", CAPACITY)] if look.steers else [("followup", 1)]
        told = None if self._live.translator is None else _made_once(self._live.translator.came)
        taken = self._patiently(
            lambda baton: self._store.queue.take(baton, point.session_id, kinds=kinds, told=told)
        )
        return [replace(message, came_as=queued.kind) for queued, message in taken or ()]

    def _pause(self, point: SafePoint) -> None:
        """Waits until the pause is over. One that stood too long ends the run."""
        question = Question("pause", session_id=point.session_id, details={"agent": point.agent})
        event = RuntimePaused(agent_name=point.agent, session_id=self._live.run.session_id)
        if (answer := self._ask(Ask(question, event))).decision == "expired":
            self._live.cancellation.cancel(answer.by)
            raise RunCancelled()

    def _patiently(self, write: Callable[[Baton], T], told: Rows = ()) -> T | None:
        """Repeats a write while the database is away. The write has a number, so one that was committed just before
        the connection broke is not done twice; None then."""
        self._writes += 1
        baton = replace(self._live.baton, write=self._writes, told=self._store.told.writes(told))
        try:
            return self._live.patience(write, baton)
        except WrittenAlready:
            return None

    def _write(self, fact: Fact, baton: Baton, prompt: FrozenPrompt | None) -> None:
        journal = self._store.journal
        match fact:
            case TurnAdded(session_id, message, tokens, broken):
                additions = self._store.queue.additions
                stored = journal.add_turn(
                    baton, session_id, message, tokens=tokens, prompt=prompt, broken=broken
                )
                if session_id == self._live.run.session_id:
                    self._open_calls = len(message.calls)
                    self._live.known.heard(waiting=stored.waiting, additions=additions)
            case Condensed(session_id, summary):
                journal.add_summary(baton, session_id, summary)
            case PicturesLeftOut(session_id, positions, summary):
                journal.add_summary(baton, session_id, summary, without_pictures=positions)
            case CallStarting(session_id, call_id, _, _):
                journal.start_call(baton, session_id, call_id)
            case CallEnded(session_id, message, state, states):
                self._end_call(baton, session_id, message, state, states)
            case MessagesAdded(session_id, messages):
                journal.add_messages(baton, session_id, messages)
            case TurnRefused(session_id):
                journal.refuse_last(baton, session_id)
            case Spent(session_id, cost, tokens):
                journal.add_cost(baton, session_id, cost, tokens=tokens)
            case AgentChanged(session_id, agent):
                journal.change_agent(baton, session_id, agent)
            case ChildAdded(session, messages):
                journal.add_child(baton, session, messages)
            case OutcomeEvaluation(session_id, messages=[*messages]):
                if messages:
                    journal.add_messages(baton, session_id, messages)
                else:
                    journal.tell(baton)

    def _end_call(
        self, baton: Baton, session_id: str, message: Message, state: CallState, states: Mapping[str, Any]
    ) -> None:
        """With the last result of a turn comes a look at what the safe point after it wants to know."""
        mine = session_id == self._live.run.session_id
        last = mine and self._open_calls == 1
        additions = self._store.queue.additions
        look = self._store.journal.add_result(
            baton, session_id, message, state, toolset_states=states, look=last
        )
        self._open_calls -= mine
        if look is not None:
            self._live.known.see(look.session)
            self._live.known.heard(waiting=look.waiting, additions=additions)

    def _ask(self, ask: Ask) -> Answer:
        self._live.known.forget_quiet()
        if self._live.stops_at_safe_point:
            raise RunCancelled()  # what has not begun is not under way
        question = replace(ask.question, id=uuid.uuid4().hex)
        self._live.expect_answer(question)
        ended, worked = ask.handler_ended, self._live.clock.worked
        asked = self._patiently(
            lambda baton: self._store.journal.ask(baton, question, handler_ended=ended, worked=worked),
            self._told_of(ask),
        )
        if asked is False:
            self._live.take_back()
            return Answer("resume")
        self._publish(_identified(ask.event, question.id))
        self._answer_already_given(question)
        answer = self._live.wait_for_answer(self._let_go)
        if self._live.translator is not None:
            self.tell(self._live.patience(self._live.translator.began))
        return answer

    def _answer_already_given(self, question: Question) -> None:
        """Clients of another door may answer before they are asked."""
        translator, live = self._live.translator, self._live
        given = None if translator is None else live.patience(translator.answer, question)
        if given is None:
            return
        with suppress(NothingToAnswer, AnsweredAlready):  # somebody was a moment faster, and it is on its way
            give = partial(self._store.answers.answer, live.run.session_id, kinds=(question.kind,))
            answered = live.patience(
                give, replace(given, question_id=question.id), call_id=question.call_id, is_held_here=True
            )
            live.deliver(answered.answer)

    def _let_go(self) -> Answer:
        """Parks the run, for its process goes away; unless it was answered meanwhile, perhaps through another process:
        then it goes on with this answer. RunParked, also if the database is away: then its lease runs out."""
        live = self._live
        with live.log.writing:
            next_event = live.log.silence(live.end)
            segment = live.log.unwritten(live.run.id)
            segments = [segment] if segment else []
            park = partial(self._store.answers.park, segments=segments, next_event=next_event)
            try:
                answer = live.patience(park, live.baton)
            except (StoreUnavailable, BatonLost) as error:
                log.warning("a waiting run could not be let go; its lease will run out", exc_info=True)
                raise RunParked() from error
            if answer is None:
                if segment is not None:
                    live.log.mark_written(segment.last)
                    self._metrics.events_stored(segment.count)
                raise RunParked()
            live.log.unsilence(live.end)
        return answer


def _identified(event: Event, question_id: str) -> Event:
    """The event that tells of a question, with the question's id."""
    match event:
        case ElicitationRequest():
            return replace(event, elicitation_id=question_id, server_elicitation_id=event.elicitation_id)
        case MaxIterationsReached():
            return replace(event, request_id=question_id)
    return event


def _made_once(make: Callable[[Sequence[QueuedMessage]], Rows]) -> Callable[[Sequence[QueuedMessage]], Rows]:
    """The same rows for the same messages: a transaction that is repeated gives its events no further numbers."""
    made: list[tuple[Sequence[QueuedMessage], Rows]] = []

    def rows(messages: Sequence[QueuedMessage]) -> Rows:
        if not made or made[-1][0] != messages:
            made.append((messages, make(messages)))
        return made[-1][1]

    return rows
