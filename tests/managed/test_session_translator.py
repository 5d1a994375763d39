"""What a process tells of a run that it has taken over from another one."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from app.agent.loop_steps import Ask, CallEnded
from app.conversation.blocks import tool_result
from app.conversation.events import ElicitationRequest
from app.conversation.run import Question
from app.conversation.run_outcome import RunOutcome
from app.conversation.transcript import Message
from app.managed.policies import Policies
from app.managed.session_translator import SessionTranslator
from app.managed.usage import Spent
from app.managed_ids import call_event_id, result_event_id
from app.store.call_decisions import Decided
from app.store.told_events import LastPlace, OpenWork, Told
from tests.managed.custom_calls import WEATHER

SESSION = str(uuid.uuid4())
QUESTION = Question("elicitation", session_id=SESSION, call_id="call_b", name="get_weather")
RESULT: Any = {"custom_tool_use_id": "sevt_b", "content": [{"type": "text", "text": "Rain."}]}


def adopted(
    known: Sequence[Told], *, work: Callable[[], OpenWork] = lambda: OpenWork("", is_idle=True)
) -> SessionTranslator:
    """The session was idle for another call of the turn only, which has its result by now."""
    by_call = {event.call_id: event for event in known if event.call_id}
    agent = {"name": "Custom", "tools": [WEATHER]}
    last = LastPlace(7, 1.0, 2.0)
    return SessionTranslator(
        SESSION,
        agent,
        last,
        Spent(),
        lambda: (),
        lambda calls: {call: Decided(result=by_call[call]) for call in calls if call in by_call},
        {},
        Policies([WEATHER]),
        tuple,
        lambda: None,
        lambda event: None,
        "",
        work,
        lambda: last,
    )


@pytest.fixture
def given() -> Told:
    event = result_event_id(SESSION, "call_b")
    return Told(event, "user.custom_tool_result", None, None, RESULT, "call_b")


def test_a_session_that_was_told_to_run_is_not_told_so_again() -> None:
    kinds = [row["type"] for row in adopted([]).began()]
    assert kinds == ["session.status_running", "session.thread_status_running"]
    assert adopted([], work=lambda: OpenWork("", is_idle=False)).began() == []


def test_an_end_comes_behind_what_is_stored_though_a_write_was_lost() -> None:
    """The events with the numbers 8 and 9 were to be told with it."""
    states = iter([OpenWork("", is_idle=True), OpenWork("sevt_open", is_idle=False)])
    translator = adopted([], work=lambda: next(states))
    assert [row["number"] for row in translator.began()] == [8, 9]
    rows = translator.ended(RunOutcome("finished"))
    assert [(row["number"], row["type"]) for row in rows] == [
        (8, "span.model_request_end"),
        (9, "session.thread_status_idle"),
        (10, "session.usage"),
        (11, "session.status_idle"),
    ]


def test_a_call_with_an_early_result_is_not_waited_for(given: Told) -> None:
    translator = adopted([given])
    translator.began()
    assert list(translator.of(Ask(QUESTION, ElicitationRequest(agent_name="root", message="")))) == []
    answer = translator.answer(QUESTION)
    assert answer is not None
    assert answer.decision == "accept"
    ended = CallEnded(SESSION, Message("tool", (tool_result("call_b", "Rain."),)), "completed")
    assert list(translator.of(ended)) == []


def test_a_call_without_a_result_is_what_the_session_is_idle_for() -> None:
    translator = adopted([])
    translator.began()
    rows = translator.of(Ask(QUESTION, ElicitationRequest(agent_name="root", message="")))
    assert [row["type"] for row in rows] == [
        "session.thread_status_idle",
        "session.usage",
        "session.status_idle",
    ]
    assert call_event_id(SESSION, "call_b") in rows[-1]["body_json"]
    assert translator.answer(QUESTION) is None
