"""PostgreSQL's row locks: a request that looks for a way in must never make a run that writes fail (a deadlock)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import delete, select, text, update

from app.conversation.blocks import text_block
from app.conversation.queued_message import QueuedMessage
from app.errors import AppError, SessionBusy
from app.store.engine import Database
from app.store.row_mapping import dump
from app.store.store import Store
from app.store.tables import queued_messages, runs, sessions
from tests.harness.postgres import PostgresServer
from tests.harness.process import eventually
from tests.store.actors import THERE, begin, new_session

pytestmark = pytest.mark.postgres

COUNT = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


@pytest.fixture(scope="module")
def shared_url(postgres: PostgresServer) -> str:
    return postgres.new_database()


def _somebody_waits(database: Database) -> bool:
    with database.reading() as connection:
        return bool(connection.execute(COUNT).scalar())


@pytest.mark.parametrize(
    ("act", "outcome"),
    [
        (lambda store, run: begin(store, run.session_id), SessionBusy),
        (lambda store, run: store.sessions.delete(run.session_id), type(None)),
        (
            lambda store, run: store.sweep.interrupt_dead(by_lease=True),
            type(None),
        ),
    ],
    ids=["claim", "delete", "clean up"],
)
def test_a_run_in_the_middle_of_a_write_is_not_failed_by_somebody_who(
    store: Store, act: Callable[[Store, Any], Any], outcome: type
) -> None:
    session = new_session(store)
    run = begin(store, session.id, owner=THERE).run
    outcomes: list[object] = []

    def other() -> None:
        try:
            act(store, run)
            outcomes.append(None)
        except AppError as error:
            outcomes.append(error)

    thread = threading.Thread(target=other)
    with store.database.writing() as connection:  # every write of a run locks its own row first
        connection.execute(update(runs).where(runs.c.id == run.id).values(writes=1))
        thread.start()
        eventually(
            lambda: _somebody_waits(store.database) or not thread.is_alive(),
            "it waits for the run, or is done",
        )
        connection.execute(update(sessions).where(sessions.c.id == session.id).values(cost=1.0))
    thread.join(30)
    assert [type(one) for one in outcomes] == [outcome]


@pytest.mark.parametrize("change", ["withdraw", "edit"])
def test_a_message_that_is_changed_while_a_run_takes_it_is_taken_as_it_is_stored(
    store: Store, change: str
) -> None:
    session = new_session(store)
    run = begin(store, session.id, owner=THERE).run
    store.queue.add(
        [QueuedMessage("m-1", session.id, "steer", (text_block("old"),), 1.0, "ann")], needs_run=True
    )
    here = queued_messages.c.id == "m-1"
    taken: list[Any] = []

    def take() -> None:
        taken.extend(store.queue.take(run.baton, session.id, kinds=[("steer", 9)]))

    thread = threading.Thread(target=take)
    with store.database.writing() as connection:
        connection.execute(select(queued_messages).where(here).with_for_update())
        thread.start()
        eventually(lambda: _somebody_waits(store.database), "the run waits for the message")
        if change == "withdraw":
            connection.execute(delete(queued_messages).where(here))
        else:
            connection.execute(
                update(queued_messages).where(here).values(content_json=dump([text_block("new")]))
            )
    thread.join(30)
    texts = [row.content[0]["text"] for row in store.sessions.messages(session.id)]
    assert texts == [message.content[0]["text"] for _, message in taken]
    assert texts == ([] if change == "withdraw" else ["new"])
    assert not store.queue.waiting(session.id)
    store.sessions.delete(session.id)
