"""Writes of a run that PostgreSQL gets as one statement: what another transaction does meanwhile counts, too."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, text

from app.conversation.session import Session
from app.errors import BatonLost, SessionBusy
from app.store.engine import Database
from app.store.fence import WrittenAlready
from app.store.run_rows import BegunRun
from app.store.store import Store
from tests.harness.postgres import PostgresServer
from tests.harness.process import eventually
from tests.harness.rows import all_rows
from tests.store.actors import begin, calling, new_session, user

pytestmark = pytest.mark.postgres

WAITING = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


@pytest.fixture(scope="module")
def shared_url(postgres: PostgresServer) -> str:
    return postgres.new_database()


@contextmanager
def _meanwhile(database: Database, work: Callable[[], Any]) -> Iterator[tuple[Connection, list[Any]]]:
    """A transaction that is committed while `work` waits for it; and what comes of `work`, once that is over."""
    outcome: list[Any] = []

    def other() -> None:
        try:
            outcome.append(work())
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=other)

    def waits() -> bool:
        with database.reading() as connection:
            return bool(connection.execute(WAITING).scalar())

    with database.writing() as connection:
        yield connection, outcome
        thread.start()
        eventually(waits, "the other one waits for this transaction")
    thread.join(30)
    assert outcome


def _run_changes(connection: Connection, run: BegunRun, words: str) -> None:
    connection.execute(text(f"UPDATE runs SET {words} WHERE id = :run"), {"run": run.run.id})


def _say(connection: Connection, session: Session, position: int, run_id: str) -> None:
    """A message, as an earlier write whose outcome is not known may store it."""
    connection.execute(
        text(
            "INSERT INTO messages (session_id, position, role, content_json, agent, prompt, created_at, implicit,"
            " partial, stop_reason, model, cost, run_id) VALUES (:session, :position, 'user', '[]', '', '', 1.0, false,"
            " '', '', '', 0.0, :run)"
        ),
        {"session": session.id, "position": position, "run": run_id},
    )


def test_a_write_goes_behind_an_earlier_one_whose_commit_it_has_waited_for(store: Store) -> None:
    session = new_session(store)
    begun = begin(store, session.id, "hello")
    baton = replace(begun.run.baton, write=2)
    with _meanwhile(
        store.database, lambda: store.journal.add_messages(baton, session.id, [user("second")])
    ) as (connection, outcome):
        _run_changes(connection, begun, "writes = 1")
        _say(connection, session, 1, begun.run.id)
    assert outcome == [2]


def test_a_write_that_is_repeated_while_the_first_is_being_committed_is_done_once(store: Store) -> None:
    session = new_session(store)
    begun = begin(store, session.id, "hello")
    baton = replace(begun.run.baton, write=1)
    with _meanwhile(
        store.database, lambda: store.journal.add_messages(baton, session.id, [user("once")])
    ) as (connection, outcome):
        _run_changes(connection, begun, "writes = 1")
        _say(connection, session, 1, begun.run.id)
    assert [type(one) for one in outcome] == [WrittenAlready]
    assert len(store.sessions.messages(session.id)) == 2


def test_a_write_that_has_waited_for_a_take_over_changes_nothing(store: Store) -> None:
    session = new_session(store)
    begun = begin(store, session.id, "hello")
    with _meanwhile(
        store.database, lambda: store.journal.add_messages(begun.run.baton, session.id, [user("late")])
    ) as (connection, outcome):
        _run_changes(connection, begun, "epoch = 1")
    assert [type(one) for one in outcome] == [BatonLost]
    assert len(store.sessions.messages(session.id)) == 1


def test_a_renewed_lease_is_no_reason_to_write_less(store: Store) -> None:
    session = new_session(store)
    begun = begin(store, session.id, "hello")
    with _meanwhile(
        store.database, lambda: store.journal.add_messages(begun.run.baton, session.id, [user("next")])
    ) as (connection, outcome):
        _run_changes(connection, begun, "lease_expires_at = lease_expires_at + 1")
    assert outcome == [1]


def test_an_end_closes_the_calls_of_a_turn_whose_commit_it_has_waited_for(store: Store) -> None:
    session = new_session(store)
    begun = begin(store, session.id, "hello")
    with _meanwhile(store.database, lambda: store.runs.finish(begun.run.baton, "cancelled")) as (
        connection,
        outcome,
    ):
        _run_changes(connection, begun, "writes = 1")
        connection.execute(
            text(
                "INSERT INTO tool_calls (session_id, id, run_id, position, name, arguments_json, state, decision,"
                " decided_by, reason) VALUES (:session, 'c-1', :run, 1, 'shell', '{}', 'pending', '', '', '')"
            ),
            {"session": session.id, "run": begun.run.id},
        )
    assert outcome == [False]
    assert [call.state for call in store.journal.ledger(session.id).values()] == ["cancelled"]


def test_an_end_finds_what_was_queued_until_its_commit(store: Store) -> None:
    session = new_session(store)
    begun = begin(store, session.id, "hello")
    with _meanwhile(store.database, lambda: store.runs.finish(begun.run.baton, "finished", next_event=7)) as (
        connection,
        outcome,
    ):
        connection.execute(
            text("SELECT 1 FROM sessions WHERE id = :session FOR NO KEY UPDATE"), {"session": session.id}
        )
        connection.execute(
            text(
                "INSERT INTO queued_messages (id, session_id, number, kind, content_json, created_at, created_by)"
                " VALUES (:id, :session, 1, 'followup', '[]', 1.0, 'ann')"
            ),
            {"id": f"q-{session.id}", "session": session.id},
        )
    assert outcome == [True]


def test_a_claim_that_has_waited_for_another_one_is_refused(store: Store) -> None:
    session = new_session(store)
    with _meanwhile(store.database, lambda: begin(store, session.id, "second")) as (connection, outcome):
        connection.execute(
            text("UPDATE sessions SET next_event = 9 WHERE id = :session"), {"session": session.id}
        )
        connection.execute(
            text(
                "INSERT INTO runs (id, session_id, agent, status, epoch, writes, owner_host, owner_boot, owner_pid,"
                " owner_started, started_at, lease_expires_at, code, error, first_event, options_json)"
                " VALUES (:run, :session, 'plain/root', 'running', 0, 0, '', '', 1, '', 1.0, 1e12, '', '', 1, '{}')"
            ),
            {"run": f"r-{session.id}", "session": session.id},
        )
    assert [type(one) for one in outcome] == [SessionBusy]
    assert store.sessions.messages(session.id) == []


def test_a_claim_that_has_waited_for_words_taken_back_speaks_where_they_stood(store: Store) -> None:
    session = new_session(store)
    begun = begin(store, session.id, "first")
    store.runs.finish(begun.run.baton, "finished")
    with _meanwhile(store.database, lambda: begin(store, session.id, "instead").first_position) as (
        connection,
        outcome,
    ):
        connection.execute(
            text("UPDATE sessions SET input_tokens = 0 WHERE id = :session"), {"session": session.id}
        )
        connection.execute(text("DELETE FROM messages WHERE session_id = :session"), {"session": session.id})
    assert outcome == [0]


def test_all_of_a_turn_stands_where_its_calls_say(store: Store) -> None:
    session = new_session(store)
    begun = begin(store, session.id, "hello")
    stored = store.journal.add_turn(begun.run.baton, session.id, calling("c-1", "c-2"), tokens=(5, 6))
    with store.database.reading() as connection:
        found = connection.execute(
            text("SELECT position FROM tool_calls WHERE session_id = :session"), {"session": session.id}
        )
        assert {row.position for row in found} == {stored.position} == {1}


def test_a_claim_that_is_refused_leaves_nothing_and_is_no_error_to_the_database(
    store: Store, postgres: PostgresServer
) -> None:
    """Other processes' claims are refused all the time: an operator must not find them in the database's log."""
    session = new_session(store)
    holder = begin(store, session.id, "the first one")
    before, log = all_rows(store.database), postgres.log()
    with pytest.raises(SessionBusy) as busy:
        begin(store, session.id, "me too")
    assert busy.value.run is not None
    assert busy.value.run.id == holder.run.id
    assert all_rows(store.database) == before
    assert "ERROR" not in postgres.log()[len(log) :]
