"""A run that has lost its baton changes nothing any more, whatever it tries and however it was lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from app.conversation.frozen_prompt import FrozenPrompt
from app.conversation.run import Answer, Baton, Question, Run
from app.conversation.run_outcome import interrupted
from app.conversation.session import Session
from app.errors import BatonLost
from app.store.fence import WrittenAlready
from app.store.run_rows import BegunRun
from app.store.store import Store
from tests.harness.rows import all_rows
from tests.store.actors import (
    HERE,
    THERE,
    begin,
    calling,
    everybody_is_gone,
    new_session,
    result,
    seeing,
    user,
)

PROMPT = FrozenPrompt("digest", "root", "definition", "a-model", "[]", "")

Write = Callable[[Store, Baton], object]

WRITES: dict[str, Write] = {
    "add_messages": lambda store, b: store.journal.add_messages(b, b.session_id, [user("late")]),
    "add_turn": lambda store, b: store.journal.add_turn(b, b.session_id, calling("late"), tokens=(9, 9)),
    "start_call": lambda store, b: store.journal.start_call(b, b.session_id, "a"),
    "add_result": lambda store, b: store.journal.add_result(
        b, b.session_id, result("a"), "completed", toolset_states={"k": 1}
    ),
    "add_turn with its prompt": lambda store, b: store.journal.add_turn(
        b, b.session_id, calling("late"), tokens=(9, 9), prompt=PROMPT
    ),
    "add_cost": lambda store, b: store.journal.add_cost(b, b.session_id, 1.0),
    "refuse_last": lambda store, b: store.journal.refuse_last(b, b.session_id),
    "change_agent": lambda store, b: store.journal.change_agent(b, b.session_id, "k/other"),
    "add_child": lambda store, b: store.journal.add_child(b, Session("kid", 1.0, parent_id=b.session_id), []),
    "ask": lambda store, b: store.journal.ask(b, Question("approval", b.session_id, "a", id="q")),
    "take": lambda store, b: store.queue.take(b, b.session_id, kinds=[("steer", 9)]),
    "finish": lambda store, b: store.runs.finish(b, "finished", next_event=9),
    "withdraw": lambda store, b: store.claims.withdraw(_begun(b)),
}


def _begun(baton: Baton) -> BegunRun:
    run = Run(baton.run_id, baton.session_id, "plain/root", "running", 1.0, HERE, 1.0, epoch=baton.epoch)
    return BegunRun(run, Session(baton.session_id, 1.0), 0, 0)


def _taken_over(store: Store, baton: Baton) -> None:
    begin(store, baton.session_id, "mine now", probe=everybody_is_gone)


def _adopted(store: Store, baton: Baton) -> None:
    store.journal.ask(baton, Question("approval", baton.session_id, "a", id="q"))
    answered = seeing(store, everybody_is_gone).answers.answer(
        baton.session_id, Answer("approve"), kinds=["approval"], adopter=HERE
    )
    assert answered.adopted


def _released(store: Store, baton: Baton) -> None:
    store.runs.release(baton.run_id, interrupted("by somebody"))


def _ended(store: Store, baton: Baton) -> None:
    store.runs.finish(baton, "finished")


def _deleted(store: Store, baton: Baton) -> None:
    store.sessions.delete(baton.session_id)


@pytest.mark.parametrize("lose", [_taken_over, _adopted, _released, _ended, _deleted])
def test_nothing_is_written_after_the_baton_was_lost(
    store: Store, lose: Callable[[Store, Baton], None]
) -> None:
    session = new_session(store)
    baton = begin(store, session.id, "hello", owner=THERE).run.baton
    store.journal.add_turn(baton, session.id, calling("a"), tokens=None)
    lose(store, baton)
    before = all_rows(store.database)
    for name, write in WRITES.items():
        for shown in (baton, replace(baton, write=7)):
            with pytest.raises(BatonLost):
                write(store, shown)
            assert all_rows(store.database) == before, name


def test_who_adopted_a_run_can_write(store: Store) -> None:
    session = new_session(store)
    baton = begin(store, session.id, "hello", owner=THERE).run.baton
    store.journal.add_turn(replace(baton, write=1), session.id, calling("a"), tokens=None)
    store.journal.ask(replace(baton, write=2), Question("approval", session.id, "a", id="q"))
    answered = seeing(store, everybody_is_gone).answers.answer(
        session.id, Answer("approve"), kinds=["approval"], adopter=HERE
    )
    assert (answered.run.owner, answered.run.epoch) == (HERE, baton.epoch + 1)
    store.journal.start_call(replace(answered.run.baton, write=3), session.id, "a")
    now = store.runs.get(baton.run_id)
    assert now == replace(answered.run, writes=3, lease_expires_at=now.lease_expires_at)


def test_a_run_whose_holder_lives_is_answered_but_not_adopted(store: Store) -> None:
    session = new_session(store)
    run = begin(store, session.id, owner=THERE).run
    store.journal.ask(run.baton, Question("max_iterations", session.id, id="q"))
    answered = store.answers.answer(session.id, Answer("approve"), kinds=["max_iterations"], adopter=HERE)
    assert not answered.adopted
    assert store.runs.get(run.id).owner == THERE


def test_every_write_renews_the_lease(store: Store, impatient: Store) -> None:
    session = new_session(store)
    baton = begin(impatient, session.id).run.baton
    assert store.runs.get(baton.run_id).lease_expires_at < _now(store)
    store.journal.add_messages(baton, session.id, [user("alive")])
    assert store.runs.get(baton.run_id).lease_expires_at > _now(store) + 20


def _now(store: Store) -> float:
    """The database's clock, as a new run's row shows it."""
    session = new_session(store)
    return begin(store, session.id).run.started_at


def test_a_write_that_is_repeated_is_done_once(store: Store) -> None:
    session = new_session(store)
    baton = begin(store, session.id, "hello").run.baton
    for number, write in enumerate(
        [WRITES["add_messages"], WRITES["add_turn with its prompt"], WRITES["change_agent"]], start=1
    ):
        write(store, replace(baton, write=number))
        before = _without_lease(store)
        with pytest.raises(WrittenAlready):
            write(store, replace(baton, write=number))
        assert _without_lease(store) == before


def _without_lease(store: Store) -> object:
    rows = all_rows(store.database)
    return {name: values for name, values in rows.items() if name != "runs"}
