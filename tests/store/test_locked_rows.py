"""A row that another transaction keeps locked holds up nothing but what is about that row. PostgreSQL only: SQLite
locks no rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager

import pytest
from sqlalchemy import select, update

from app.conversation.run import Liveness, Owner, Run
from app.errors import StoreUnavailable
from app.store import drivers
from app.store.engine import Database
from app.store.event_segments import RESERVED_NUMBERS, Segment
from app.store.fence import Fenced
from app.store.session_rows import find_session
from app.store.store import Store
from app.store.tables import runs, sessions
from tests.harness.postgres import PostgresServer
from tests.store.actors import HERE, THERE, begin, new_session, seeing, user

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def shared_url(postgres: PostgresServer) -> str:
    return postgres.new_database()


Lock = Callable[[Database, Run], AbstractContextManager[None]]


@contextmanager
def _run_locked(database: Database, run: Run) -> Iterator[None]:
    with database.writing() as connection:
        connection.execute(select(runs.c.id).where(runs.c.id == run.id).with_for_update())
        yield


@contextmanager
def _session_locked(database: Database, run: Run) -> Iterator[None]:
    with database.writing() as connection:
        connection.execute(select(sessions.c.id).where(sessions.c.id == run.session_id).with_for_update())
        yield


@contextmanager
def _session_changed(database: Database, run: Run) -> Iterator[None]:
    with database.writing() as connection:
        connection.execute(update(sessions).where(sessions.c.id == run.session_id).values(title="new"))
        yield


def _run(store: Store, owner: Owner = HERE) -> Run:
    return begin(store, new_session(store).id, owner=owner).run


def _segment(run: Run, first: int, last: int) -> Segment:
    return Segment(run.session_id, run.id, first, last, b"x")


def test_a_locked_run_is_neither_renewed_nor_lost_and_the_others_are_renewed(store: Store) -> None:
    locked, ended, free = (_run(store) for _ in range(3))
    store.runs.finish(ended.baton, "finished")
    batons = [run.baton for run in (locked, ended, free)]
    before = store.runs.get(free.id).lease_expires_at
    with _run_locked(store.database, locked):
        renewed = store.leases.renew(batons)
    assert renewed == Fenced(frozenset({free.id}), frozenset({ended.id}))
    assert store.runs.get(free.id).lease_expires_at > before
    assert store.leases.renew(batons).done == {free.id, locked.id}


def test_a_run_that_is_ended_by_the_transaction_that_locks_it_is_lost_afterwards(store: Store) -> None:
    run = _run(store)
    with store.database.writing() as connection:
        connection.execute(update(runs).where(runs.c.id == run.id).values(status="interrupted"))
        assert not store.leases.renew([run.baton]).lost
    assert store.leases.renew([run.baton]).lost == {run.id}


@pytest.mark.parametrize("lock", [_run_locked, _session_locked])
def test_a_locked_run_or_session_holds_up_the_events_of_no_other_run(store: Store, lock: Lock) -> None:
    locked, free = _run(store), _run(store)
    segments = [(run.baton, _segment(run, 1, 5)) for run in (locked, free)]
    before = store.runs.get(free.id).lease_expires_at
    with lock(store.database, locked):
        written = store.events.append(segments)
        assert written.done == {free.id}
        assert not written.lost
    assert store.events.bounds(free.session_id) == (1, 5)
    assert store.events.bounds(locked.session_id) == (0, 0)
    assert store.runs.get(free.id).lease_expires_at > before
    assert store.events.append(segments).done == {locked.id, free.id}


def test_a_run_keeps_its_lease_while_its_session_is_locked(store: Store) -> None:
    run = _run(store)
    before = store.runs.get(run.id).lease_expires_at
    with _session_locked(store.database, run):
        assert not store.events.append([(run.baton, _segment(run, 1, 5))]).done
        assert store.runs.get(run.id).lease_expires_at > before


def test_numbers_of_events_are_reserved_as_soon_as_the_session_can_be_changed(store: Store) -> None:
    run, half = _run(store), RESERVED_NUMBERS // 2 + 10
    top = half + 1 + RESERVED_NUMBERS
    with _session_changed(store.database, run):
        assert store.events.append([(run.baton, _segment(run, 1, half))]).done == {run.id}
    assert store.sessions.next_event(run.session_id) < top
    store.events.append([(run.baton, _segment(run, half, half))])
    assert store.sessions.next_event(run.session_id) == top


def test_a_session_that_is_claimed_can_be_referred_to(store: Store) -> None:
    run = _run(store)
    with store.database.writing() as connection:
        find_session(connection, run.session_id, lock=True)
        store.journal.add_messages(run.baton, run.session_id, [user("meanwhile")])
    assert [row.content[0]["text"] for row in store.sessions.messages(run.session_id)] == ["meanwhile"]


def _there_is_gone(owner: Owner) -> Liveness:
    return "gone" if owner == THERE else "alive"


@pytest.mark.parametrize("lock", [_run_locked, _session_locked])
def test_the_sweep_leaves_out_what_is_locked_and_goes_on(store: Store, lock: Lock) -> None:
    locked, dead = _run(store, THERE), _run(store, THERE)
    with lock(store.database, locked):
        swept = seeing(store, _there_is_gone).sweep.interrupt_dead(by_lease=False)
        assert {run.id for run in swept} == {dead.id}
    swept = seeing(store, _there_is_gone).sweep.interrupt_dead(by_lease=False)
    assert {run.id for run in swept} == {locked.id}


def test_events_that_can_not_be_written_do_not_keep_their_runs_locked(
    store: Store, shared_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while somebody makes an index: the heartbeat could renew none of these leases until it is made."""
    monkeypatch.setattr(drivers, "BUSY_SECONDS", 600)
    run = _run(store)
    with closing(Database(shared_url, lease_seconds=3600)) as database:
        patient = Store(database, lease_seconds=30.0)
        with store.database.writing() as connection:
            connection.exec_driver_sql("LOCK TABLE event_segments IN SHARE MODE")
            with pytest.raises(StoreUnavailable):
                patient.events.append([(run.baton, _segment(run, 1, 5))])
            assert patient.leases.renew([run.baton]).done == {run.id}
        assert patient.events.append([(run.baton, _segment(run, 1, 5))]).done == {run.id}
