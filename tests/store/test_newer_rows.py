"""Rows with words of a newer version: nothing is done twice, or for ever, because they are not known here."""

from __future__ import annotations

import uuid

import orjson
from sqlalchemy import text

from app.store.store import Store
from tests.store.actors import begin, calling, new_session, states, user


def test_a_call_in_a_state_that_is_not_known_counts_as_running(store: Store) -> None:
    """It must not be made again: whether it took effect is not known here."""
    session = new_session(store)
    baton = begin(store, session.id, "hello").run.baton
    store.journal.add_turn(baton, session.id, calling("a"), tokens=None)
    with store.database.writing() as connection:
        here = {"session": session.id}
        connection.execute(text("UPDATE tool_calls SET state = 'put_off' WHERE session_id = :session"), here)
    assert states(store, session.id) == {"a": "running"}


def test_a_run_does_not_begin_again_for_a_message_that_it_can_not_take(store: Store) -> None:
    """The queue would never be empty for it, and it would begin again for ever."""
    session = new_session(store)
    baton = begin(store, session.id, "hello").run.baton
    put_aside(store, session.id)
    assert store.queue.take(baton, session.id, kinds=[("steer", 50), ("followup", 1)]) == []
    assert store.runs.finish(baton, "finished") is False
    assert session.id not in store.queue.stranded()
    assert store.queue.depths()["aside"] >= 1
    assert [message.kind for message in store.queue.waiting(session.id)] == ["aside"]


def put_aside(store: Store, session_id: str) -> None:
    """A message of a kind that this version doesn't know."""
    values = {
        "id": uuid.uuid4().hex,
        "session": session_id,
        "said": orjson.dumps(user("later").content).decode(),
    }
    insert = (
        "INSERT INTO queued_messages (id, session_id, number, kind, content_json, created_at, created_by)"
        " VALUES (:id, :session, 1, 'aside', :said, 1.0, 'ann')"
    )
    with store.database.writing() as connection:
        connection.execute(text(insert), values)
