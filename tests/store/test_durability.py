"""Which commits wait for the disk: what a promise hangs on, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from app.store.engine import Database
from app.store.event_segments import RESERVED_NUMBERS, Segment
from app.store.run_rows import BegunRun
from app.store.store import Store
from tests.harness.commits import commits, waits
from tests.store.actors import begin, calling, new_session


def _segment(begun: BegunRun, first: int, last: int) -> Segment:
    return Segment(begun.run.session_id, begun.run.id, first, last, b"id: 1\ndata: {}\n\n")


UNDURABLE: dict[str, Callable[[Store, BegunRun], Any]] = {
    "events": lambda store, begun: store.events.append([(begun.run.baton, _segment(begun, 1, 1))]),
    "leases": lambda store, begun: store.leases.renew([begun.run.baton]),
    "jobs": lambda store, begun: store.jobs.take(begun.run.id, period=60.0),
}


@pytest.mark.parametrize("what", UNDURABLE)
def test_a_commit_that_no_promise_needs_waits_for_no_disk(store: Store, what: str) -> None:
    begun = begin(store, new_session(store).id, "hello")
    with commits() as waited:
        UNDURABLE[what](store, begun)
        assert waited == [False]


def test_a_commit_after_it_waits_again(store: Store) -> None:
    session = new_session(store)
    begun = begin(store, session.id, "hello")
    store.events.append([(begun.run.baton, _segment(begun, 1, 1))])
    with store.database.writing() as connection:
        assert waits(connection)
    with pytest.raises(RuntimeError), store.database.writing_undurably():
        raise RuntimeError("in the middle")
    with store.database.writing() as connection:
        assert waits(connection)


def test_a_write_that_is_a_transaction_by_itselfwaits(store: Store) -> None:
    if store.database.joins_writes:
        with store.database.single_write() as connection:
            assert waits(connection)


def test_numbers_that_are_reserved_are_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = begin(store, new_session(store).id, "hello")
    synced: list[Database] = []
    monkeypatch.setattr(Database, "sync", lambda database: synced.append(database))
    most = RESERVED_NUMBERS // 3
    store.events.append([(begun.run.baton, _segment(begun, 1, most))])
    assert synced == []
    store.events.append([(begun.run.baton, _segment(begun, most + 1, 2 * most))])
    assert synced == [store.database]


def test_a_sync_changes_nothing(store: Store) -> None:
    begun = begin(store, new_session(store).id, "hello")
    store.journal.add_turn(begun.run.baton, begun.run.session_id, calling("c-1"), tokens=None)
    store.database.sync()
    assert len(store.sessions.messages(begun.run.session_id)) == 2
