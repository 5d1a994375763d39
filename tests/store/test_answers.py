"""Questions and answers: asked once, answered once, and the second who answers learns what the first one said."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from app.conversation.run import DECISIONS, Answer, Question, QuestionKind
from app.errors import AnsweredAlready, NothingToAnswer, SessionBusy
from app.store.answer_store import Answered
from app.store.store import Store
from tests.harness.rows import all_rows
from tests.harness.wire import in_parallel
from tests.store.actors import begin, calling, everybody_is_gone, new_session, seeing, states


def _ask(store: Store, call_id: str = "a", kind: QuestionKind = "approval") -> tuple[str, Question]:
    session = new_session(store)
    baton = begin(store, session.id, "hello").run.baton
    store.journal.add_turn(baton, session.id, calling("a", "b"), tokens=None)
    question = Question(kind, session.id, call_id, "shell", {"arguments": {"cmd": "ls"}}, id="q1")
    if kind == "pause":
        assert store.pauses.toggle(session.id)
    assert store.journal.ask(baton, question)
    asked = store.runs.get(baton.run_id).waiting_for
    assert asked is not None
    assert replace(asked, asked_at=0.0) == question
    return session.id, asked


@pytest.mark.parametrize(
    ("kind", "status"), [("approval", "awaiting_approval"), ("elicitation", "awaiting_input")]
)
def test_a_question_is_on_the_runs_row_and_in_the_ledger(
    store: Store, kind: QuestionKind, status: str
) -> None:
    session_id, question = _ask(store, kind=kind)
    run = store.runs.live_run(session_id)
    assert run is not None
    assert (run.status, run.waiting_for) == (status, question)
    assert states(store, session_id) == {"a": status, "b": "pending"}
    assert run.id in {waiting.id for waiting in store.runs.unanswered(0.0)}
    with pytest.raises(SessionBusy) as busy:
        begin(store, session_id)
    assert busy.value.busy_code == status


def test_a_pause_is_asked_for_once_and_not_when_it_was_taken_back(store: Store) -> None:
    session = new_session(store)
    baton = begin(store, session.id, "hello").run.baton
    question = Question("pause", session.id, id="q1")
    assert [store.pauses.toggle(session.id) for _ in range(2)] == [True, False]
    assert not store.journal.ask(baton, question)
    assert store.runs.get(baton.run_id).waiting_for is None
    store.pauses.toggle(session.id)
    assert store.journal.ask(baton, question)
    run = store.runs.live_run(session.id)
    assert run is not None
    assert (run.is_paused, run.busy_code) == (True, "session_busy")
    assert not store.sessions.get(session.id).choices.pause
    assert store.pauses.toggle(session.id) is None, "an answer ends it"
    assert not store.sessions.get(session.id).choices.pause


def test_an_answer_reaches_the_holder_and_is_written_down_with_who_gave_it(store: Store) -> None:
    session_id, question = _ask(store)
    answered = store.answers.answer(session_id, Answer("reject", reason="no", by="ann"), kinds=["approval"])
    assert answered.question == question
    assert answered.answer.question_id == "q1"
    assert not store.runs.quiet([answered.run.baton])
    (signal,) = store.runs.signals([answered.run.id])
    assert (signal.status, signal.answer) == ("running", answered.answer)
    call = store.journal.ledger(session_id)["a"]
    assert (call.state, call.decision, call.decided_by, call.reason) == ("pending", "reject", "ann", "no")
    assert answered.run.id not in {waiting.id for waiting in store.runs.unanswered(0.0)}


def test_of_many_answers_at_once_one_wins_and_the_others_hear_of_it(store: Store) -> None:
    session_id, _ = _ask(store)

    def answer(name: str) -> list[Answered | AnsweredAlready]:
        try:
            return [
                store.answers.answer(session_id, Answer("approve", by=name), kinds=["approval"], call_id="a")
            ]
        except AnsweredAlready as already:
            return [already]

    results = [one for (one,) in in_parallel([lambda n=n: answer(f"user{n}") for n in range(8)])]
    (winner,) = [one for one in results if isinstance(one, Answered)]
    told = [one.details for one in results if isinstance(one, AnsweredAlready)]
    assert len(told) == 7
    assert {details["decided_by"] for details in told} == {winner.answer.by}


@pytest.mark.parametrize(
    ("kinds", "call_id"), [(["elicitation"], ""), (["approval"], "b"), (["approval"], "unheard-of")]
)
def test_an_answer_to_another_question_answers_nothing(store: Store, kinds: list[str], call_id: str) -> None:
    session_id, question = _ask(store)
    with pytest.raises(NothingToAnswer):
        store.answers.answer(session_id, Answer("approve"), kinds=kinds, call_id=call_id)
    run = store.runs.live_run(session_id)
    assert run is not None
    assert run.waiting_for == question


def test_there_is_nothing_to_answer_when_nobody_asked(store: Store) -> None:
    session = new_session(store)
    for _ in range(2):
        with pytest.raises(NothingToAnswer):
            store.answers.answer(session.id, Answer("approve"), kinds=["approval"])
        run = begin(store, session.id, probe=everybody_is_gone).run
    store.runs.finish(run.baton, "finished")


def test_a_new_question_forgets_the_old_answer(store: Store) -> None:
    session_id, _ = _ask(store)
    answered = store.answers.answer(session_id, Answer("approve"), kinds=["approval"])
    store.journal.ask(answered.run.baton, Question("approval", session_id, "b", id="q2"))
    assert [signal.answer for signal in store.runs.signals([answered.run.id])] == [None]


def test_a_run_that_waits_for_a_person_outlives_its_process(store: Store) -> None:
    session_id, question = _ask(store)
    assert session_id not in {
        run.session_id for run in seeing(store, everybody_is_gone).sweep.interrupt_dead(by_lease=False)
    }
    with pytest.raises(SessionBusy):
        begin(store, session_id, probe=everybody_is_gone)
    run = store.runs.live_run(session_id)
    assert run is not None
    assert run.waiting_for == question


@pytest.mark.parametrize("kind", get_args(QuestionKind))
def test_a_decision_that_the_question_does_not_take_changes_nothing(store: Store, kind: QuestionKind) -> None:
    session_id, _ = _ask(store, "" if kind == "max_iterations" else "a", kind)
    before = all_rows(store.database)
    for decision in frozenset().union(*DECISIONS.values()) - DECISIONS[kind]:
        with pytest.raises(NothingToAnswer):
            store.answers.answer(session_id, Answer(decision, tool_name="shell"), kinds=[kind])
        assert all_rows(store.database) == before
    for decision in sorted(DECISIONS[kind])[:1]:
        store.answers.answer(session_id, Answer(decision), kinds=[kind])


def test_an_answer_to_another_question_changes_nothing(store: Store) -> None:
    """As when a question that stood too long is answered while its expiry is on the way, and another one is asked."""
    session_id, question = _ask(store, "", "max_iterations")
    before = all_rows(store.database)
    with pytest.raises(NothingToAnswer):
        store.answers.answer(session_id, Answer("expired", question_id="q0"), kinds=["max_iterations"])
    assert all_rows(store.database) == before
    store.answers.answer(session_id, Answer("expired", question_id=question.id), kinds=["max_iterations"])
