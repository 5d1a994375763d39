"""The audit trail in the database: with what was done or not at all, longer than sessions, not for ever."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator

import pytest
from sqlalchemy import update

from app.conversation.audit_entry import Requester
from app.conversation.session import Session
from app.errors import SessionBusy, SessionNotFound
from app.store.audit_notes import requested_by
from app.store.run_rows import BegunRun
from app.store.store import Store
from app.store.tables import audit
from tests.store.actors import HERE, begin, new_session, request

ANN = Requester("ann", role="user")


@pytest.fixture(autouse=True)
def _asked_by_ann() -> Iterator[None]:
    with requested_by(ANN):
        yield


def actions(store: Store, session_id: str) -> list[str]:
    return [entry.action for entry in store.audit.find(session_id=session_id, limit=100)]


def claim(store: Store, session_id: str) -> BegunRun:
    return store.claims.begin(
        uuid.uuid4().hex,
        request(session_id),
        agent="plain/root",
        owner=HERE,
    )


def unnoted_session(store: Store) -> Session:
    with requested_by(None):
        return new_session(store)


def test_work_of_the_server_itself_leaves_no_entry(store: Store) -> None:
    session = unnoted_session(store)
    with requested_by(None):
        store.sessions.set_title(session.id, "found by itself")
        store.audit.note("cancel", session.id)
    assert actions(store, session.id) == []


def test_another_thread_works_for_no_request(store: Store) -> None:
    session = unnoted_session(store)
    thread = threading.Thread(target=store.sessions.set_title, args=(session.id, "found by itself"))
    thread.start()
    thread.join()
    assert store.sessions.get(session.id).title == "found by itself"
    assert actions(store, session.id) == []


def test_the_trail_outlives_its_session(store: Store) -> None:
    session = Session(id=str(uuid.uuid4()), created_at=1.0)
    store.sessions.create(session)
    store.sessions.delete(session.id)
    assert actions(store, session.id) == ["delete", "create"]


def test_a_run_that_began_is_in_the_trail_by_its_id_and_one_that_was_refused_is_not(store: Store) -> None:
    session = unnoted_session(store)
    run_id = claim(store, session.id).run.id
    with pytest.raises(SessionBusy):
        claim(store, session.id)
    (entry,) = store.audit.find(session_id=session.id, limit=10)
    assert (entry.run_id, entry.who, entry.role) == (run_id, "ann", "user")
    assert entry.at > 1_700_000_000


def test_a_run_that_was_undone_leaves_nothing_in_the_trail(store: Store) -> None:
    session = unnoted_session(store)
    earlier = claim(store, session.id).run
    store.runs.finish(earlier.baton, "finished", next_event=1)
    store.claims.withdraw(claim(store, session.id))
    assert [entry.run_id for entry in store.audit.find(session_id=session.id, limit=10)] == [earlier.id]


def test_a_change_that_did_not_happen_is_not_in_the_trail(store: Store) -> None:
    gone = str(uuid.uuid4())
    with pytest.raises(SessionNotFound):
        store.sessions.set_budget(gone, 1.0)
    with pytest.raises(SessionNotFound):
        store.sessions.delete(gone)
    assert not store.sessions.set_title(gone, "t")
    assert actions(store, gone) == []


def test_entries_are_dropped_at_their_age_and_their_numbers_do_not_come_again(store: Store) -> None:
    session = unnoted_session(store)
    store.sessions.set_title(session.id, "t")
    store.audit.note("cancel", session.id)
    newest, oldest = store.audit.find(session_id=session.id, limit=10)
    with store.database.writing() as connection:
        connection.execute(update(audit).where(audit.c.id == oldest.id).values(at=oldest.at - 91 * 86_400))
    store.audit.prune()
    assert [entry.id for entry in store.audit.find(session_id=session.id, limit=10)] == [newest.id]
    Store(store.database, lease_seconds=30, audit_days=0).audit.prune()
    assert store.audit.find(limit=10) == []
    store.audit.note("delete", session.id)
    (last,) = store.audit.find(limit=10)
    assert last.id > newest.id


def test_what_no_database_takes_does_not_keep_an_entry_out(store: Store) -> None:
    session = unnoted_session(store)
    with requested_by(Requester("a\0b")):
        store.audit.note("reject", session.id, detail="half a character: \ud83d")
    assert actions(store, session.id) == ["reject"]
    begin(store, session.id)
