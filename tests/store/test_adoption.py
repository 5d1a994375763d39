"""The state that an adopter finds in the rows: calls whose handler began, a question without an answer, the numbers
of writes and events, and calls that can't be read."""

from __future__ import annotations

from typing import Literal

import pytest

from app.conversation.run import Answer, Baton, Question
from app.errors import BatonLost, HolderGone
from app.store.event_segments import RESERVED_NUMBERS
from app.store.store import Store
from tests.harness.rows import all_rows
from tests.store.actors import (
    THERE,
    begin,
    calling,
    everybody_is_gone,
    new_session,
    nobody_is_gone,
    result_words,
    seeing,
    states,
)

End = Literal["finish", "sweep"]


def _calls(store: Store, *, started: bool) -> Baton:
    """A run that has made the calls `a` and `b`; the handler of `a` may have begun."""
    session = new_session(store)
    baton = begin(store, session.id, "hello").run.baton
    store.journal.add_turn(baton, session.id, calling("a", "b"), tokens=None)
    if started:
        store.journal.start_call(baton, session.id, "a")
    return baton


def _form(baton: Baton) -> Question:
    return Question("elicitation", baton.session_id, "a", "shell", id="q1")


def _approval(baton: Baton) -> Question:
    return Question("approval", baton.session_id, "a", "shell", id="q1")


def _accept(store: Store, baton: Baton) -> None:
    store.answers.answer(baton.session_id, Answer("accept"), kinds=["elicitation"])


def _end(store: Store, baton: Baton, how: End) -> None:
    if how == "finish":
        store.runs.finish(baton, "cancelled")
    else:
        dead = seeing(store, everybody_is_gone).sweep.interrupt_dead(by_lease=True)
        assert baton.run_id in {run.id for run in dead}


@pytest.mark.parametrize("how", ["finish", "sweep"])
def test_a_call_that_asked_a_form_in_mid_work_is_unknown_when_it_is_cut_after_the_answer(
    store: Store, how: End
) -> None:
    baton = _calls(store, started=True)
    store.journal.ask(baton, _form(baton))
    _accept(store, baton)
    assert states(store, baton.session_id) == {"a": "running", "b": "pending"}
    _end(store, baton, how)
    assert states(store, baton.session_id) == {"a": "unknown", "b": "cancelled"}
    assert "not known whether" in result_words(store, baton.session_id)["a"]


def test_a_call_that_asks_a_form_in_mid_work_is_unknown_when_the_run_is_stopped_meanwhile(
    store: Store,
) -> None:
    baton = _calls(store, started=True)
    store.journal.ask(baton, _form(baton))
    _end(store, baton, "finish")
    assert states(store, baton.session_id) == {"a": "unknown", "b": "cancelled"}


@pytest.mark.parametrize("answered", [True, False])
def test_a_call_whose_handler_ended_with_its_question_took_no_unknown_effect(
    store: Store, answered: bool
) -> None:
    baton = _calls(store, started=True)
    store.journal.ask(baton, _form(baton), handler_ended=True)
    if answered:
        _accept(store, baton)
        assert states(store, baton.session_id) == {"a": "pending", "b": "pending"}
    _end(store, baton, "finish")
    assert states(store, baton.session_id) == {"a": "cancelled", "b": "cancelled"}


def test_a_call_that_waited_for_an_approval_had_not_begun(store: Store) -> None:
    baton = _calls(store, started=False)
    store.journal.ask(baton, _approval(baton))
    store.answers.answer(baton.session_id, Answer("approve"), kinds=["approval"])
    assert states(store, baton.session_id)["a"] == "pending"
    _end(store, baton, "sweep")
    assert states(store, baton.session_id)["a"] == "cancelled"


def test_a_run_that_waits_is_parked_and_its_former_holder_can_write_nothing_more(store: Store) -> None:
    baton = _calls(store, started=False)
    store.journal.ask(baton, _approval(baton))
    assert store.answers.park(baton, segments=(), next_event=7) is None
    assert store.leases.renew([baton]).lost == {baton.run_id}
    with pytest.raises(BatonLost):
        store.journal.start_call(baton, baton.session_id, "a")
    with pytest.raises(BatonLost):
        store.runs.finish(baton, "cancelled")
    assert store.sessions.next_event(baton.session_id) == 7


def test_a_run_that_was_answered_is_not_parked_and_gets_the_answer(store: Store) -> None:
    baton = _calls(store, started=False)
    store.journal.ask(baton, _approval(baton))
    given = store.answers.answer(baton.session_id, Answer("approve"), kinds=["approval"]).answer
    before = store.sessions.next_event(baton.session_id)
    assert store.answers.park(baton, segments=(), next_event=7) == given
    assert store.sessions.next_event(baton.session_id) == before
    assert baton.run_id not in {run.id for run in store.sweep.interrupt_dead(by_lease=True)}
    store.journal.start_call(baton, baton.session_id, "a")


def test_an_answer_that_no_process_could_take_is_refused_and_changes_nothing(store: Store) -> None:
    baton = _calls(store, started=False)
    store.journal.ask(baton, _approval(baton))
    store.answers.park(baton, segments=(), next_event=7)
    before = all_rows(store.database)
    with pytest.raises(HolderGone):
        store.answers.answer(baton.session_id, Answer("approve"), kinds=["approval"])
    with pytest.raises(HolderGone):
        seeing(store, everybody_is_gone).answers.answer(
            baton.session_id, Answer("approve"), kinds=["approval"]
        )
    assert all_rows(store.database) == before
    assert states(store, baton.session_id)["a"] == "awaiting_approval"


@pytest.mark.parametrize("parked", [True, False])
def test_an_adopter_goes_on_with_the_number_of_writes_and_reserves_events_of_its_own(
    store: Store, parked: bool
) -> None:
    baton = _calls(store, started=False)
    store.journal.ask(Baton(baton.run_id, baton.session_id, baton.epoch, write=5), _approval(baton))
    if parked:
        store.answers.park(baton, segments=(), next_event=7)
    first = store.sessions.next_event(baton.session_id)
    answered = seeing(store, nobody_is_gone if parked else everybody_is_gone).answers.answer(
        baton.session_id,
        Answer("approve"),
        kinds=["approval"],
        adopter=THERE,
    )
    assert answered.adopted is not None
    assert (answered.run.owner, answered.run.writes) == (THERE, 5)
    assert answered.run.epoch > baton.epoch
    assert answered.adopted.session.id == baton.session_id
    assert answered.adopted.next_event == first
    assert store.sessions.next_event(baton.session_id) == first + RESERVED_NUMBERS


def test_the_ledger_remembers_which_calls_can_not_be_read(store: Store) -> None:
    session = new_session(store)
    baton = begin(store, session.id, "hello").run.baton
    store.journal.add_turn(baton, session.id, calling("a", "b"), tokens=None, broken=frozenset("b"))
    assert {call.id for call in store.journal.ledger(session.id).values() if call.broken} == {"b"}
