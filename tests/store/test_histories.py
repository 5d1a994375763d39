"""What a history is made of, as both databases read it."""

from __future__ import annotations

import uuid

import pytest

from app.conversation.blocks import text_block
from app.conversation.session import Session
from app.conversation.transcript import Message
from app.errors import SessionNotFound
from app.store.store import Store
from tests.store.actors import begin


def add(store: Store, parent: str | None = None) -> str:
    new = Session(uuid.uuid4().hex, owner="ann", parent_id=parent, agent="team/a" if parent else "")
    store.sessions.create(new, transcript=[Message("user", (text_block("hi"),))])
    return new.id


def test_a_run_that_failed_has_its_place_and_one_at_work_its_beginning(store: Store) -> None:
    session = add(store)
    failed = begin(store, session, "hello").run
    store.runs.finish(failed.baton, "failed", code="internal", error="no")
    fine = begin(store, session, "hello").run
    store.runs.finish(fine.baton, "finished")
    at_work = begin(store, session, "hello").run
    rows = store.histories.read(session, owner="ann")
    (end,) = rows.bad_ends
    assert (end.run.id, end.run.error, end.position) == (failed.id, "no", 1)
    assert rows.run is not None
    assert (rows.run.id, rows.first_of_run, rows.last) == (at_work.id, 3, 3)


def test_tasks_below_are_there_and_others_are_not(store: Store) -> None:
    top = add(store)
    task = add(store, top)
    add(store)
    rows = store.histories.read(top)
    assert set(rows.tasks) == {task}
    assert (rows.run, rows.first_of_run, rows.calls, rows.summaries, rows.bad_ends) == (
        None,
        None,
        {},
        {},
        [],
    )


def test_another_owners_history_is_not_there(store: Store) -> None:
    with pytest.raises(SessionNotFound):
        store.histories.read(add(store), owner="bob")
