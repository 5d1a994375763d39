"""Claiming a session: one winner, messages with the claim or not at all, and no trace of what was refused."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from app.conversation.run import Liveness, Owner, Run
from app.conversation.transcript import Message
from app.errors import SessionBusy, SessionNotFound
from app.store.engine import Database
from app.store.row_mapping import owner_row
from app.store.run_rows import BegunRun
from app.store.store import Store
from app.store.tables import runs
from tests.harness.rows import all_rows
from tests.harness.wire import in_parallel
from tests.store.actors import HERE, THERE, begin, new_session, request, seeing, user


@pytest.fixture
def stores(shared_url: str, store: Store) -> Iterator[list[Store]]:
    """Four stores with connections of their own, as four processes have them."""
    databases = [Database(shared_url, connections=4) for _ in range(3)]
    yield [store, *(Store(database, lease_seconds=30.0) for database in databases)]
    for database in databases:
        database.close()


def test_a_claim_stores_the_run_and_its_messages(store: Store) -> None:
    session = new_session(store)
    begun = begin(store, session.id, "one", "two")
    assert begun.first_position == 0
    assert begun.session == session
    assert begun.interrupted is None
    assert begun.run.owner == HERE
    assert [row.position for row in store.sessions.messages(session.id)] == [0, 1]
    assert store.runs.live_run(session.id) == store.runs.get(begun.run.id) == begun.run


def test_a_second_claim_is_told_who_holds_the_session_and_changes_nothing(store: Store) -> None:
    session = new_session(store)
    first = begin(store, session.id, "one")
    before = all_rows(store.database)
    with pytest.raises(SessionBusy) as refused:
        begin(store, session.id, "two", owner=THERE)
    assert refused.value.run == first.run
    assert refused.value.busy_code == "session_busy"
    assert all_rows(store.database) == before


def test_a_claim_of_nothing_changes_nothing(store: Store) -> None:
    before = all_rows(store.database)
    with pytest.raises(SessionNotFound):
        begin(store, "nobody", "hello")
    assert all_rows(store.database) == before


def test_a_claim_whose_message_can_not_be_stored_does_not_claim(store: Store) -> None:
    session = new_session(store)
    before = all_rows(store.database)
    with pytest.raises(TypeError):
        store.claims.begin(
            "r",
            request(session.id, messages=[user("fine"), user("also fine"), _unstorable()]),
            agent="plain/root",
            owner=HERE,
        )
    assert all_rows(store.database) == before
    begin(store, session.id)


def _unstorable() -> Message:
    row = user("x")
    row.content[0]["text"] = object()
    return row


def test_a_withdrawn_claim_was_never_there(store: Store) -> None:
    session = new_session(store)
    store.runs.finish(begin(store, session.id, "earlier").run.baton, "finished", next_event=5)
    before = all_rows(store.database)
    begun = begin(store, session.id, "one", "two")
    store.claims.withdraw(begun)
    assert all_rows(store.database) == before
    begin(store, session.id, "three")


def test_of_sixteen_claims_at_once_exactly_one_wins(stores: list[Store]) -> None:
    for _ in range(5):
        session = new_session(stores[0])
        winner, refused = _compete(stores, session.id)
        assert {None if run is None else run.id for run in refused} == {winner.run.id}
        (row,) = stores[0].sessions.messages(session.id)
        assert row.content[0]["text"] == f"message {winner.run.owner.pid}"
        assert [run.id for run in stores[0].runs.recent(session_id=session.id)] == [winner.run.id]


def test_of_sixteen_who_take_over_from_the_dead_exactly_one_wins(stores: list[Store]) -> None:
    session = new_session(stores[0])
    dead = begin(stores[0], session.id, "lost", owner=THERE).run
    winner, refused = _compete(stores, session.id)
    assert winner.interrupted is not None
    assert winner.interrupted.id == dead.id
    assert {None if run is None else run.id for run in refused} == {winner.run.id}
    assert stores[0].runs.get(dead.id).status == "interrupted"


def _compete(stores: list[Store], session_id: str) -> tuple[BegunRun, list[Run | None]]:
    """Sixteen claims at once: the one that won, and whom the others were told of."""

    def claim(number: int) -> BegunRun | SessionBusy:
        owner = Owner("host", "boot", number, "1")
        try:
            return begin(
                stores[number % 4],
                session_id,
                f"message {number}",
                owner=owner,
                probe=lambda holder: "gone" if holder == THERE else "alive",
            )
        except SessionBusy as busy:
            return busy

    results = in_parallel([lambda number=number: [claim(number)] for number in range(16)])
    (winner,) = [one for (one,) in results if isinstance(one, BegunRun)]
    return winner, [one.run for (one,) in results if isinstance(one, SessionBusy)]


@pytest.mark.parametrize("status", ["running", "awaiting_approval", "awaiting_input"])
def test_the_database_itself_refuses_a_second_live_run(store: Store, status: str) -> None:
    session = new_session(store)
    begin(store, session.id)
    values = {
        "id": uuid.uuid4().hex,
        "session_id": session.id,
        "agent": "a",
        "status": status,
        "epoch": 0,
        "writes": 0,
        "started_at": 0.0,
        "lease_expires_at": 0.0,
        "code": "",
        "error": "",
        "first_event": 0,
        "options_json": "{}",
        **owner_row(HERE),
    }
    with pytest.raises(IntegrityError), store.database.writing() as connection:
        connection.execute(insert(runs).values(values))
    with store.database.writing() as connection:
        connection.execute(insert(runs).values({**values, "status": "finished"}))


def test_a_lease_that_has_run_out_by_the_databases_clock_frees_the_session(
    store: Store, impatient: Store
) -> None:
    session = new_session(store)
    old = begin(impatient, session.id, "one", owner=THERE)
    begun = begin(store, session.id, "two")
    assert begun.interrupted is not None
    assert begun.interrupted.id == old.run.id
    assert store.runs.get(old.run.id).status == "interrupted"
    assert store.runs.get(old.run.id).code == "interrupted"


def test_a_lease_that_was_renewed_in_time_holds(store: Store, impatient: Store) -> None:
    session = new_session(store)
    held = begin(impatient, session.id, owner=THERE).run
    assert store.leases.renew([held.baton]).done == {held.id}
    with pytest.raises(SessionBusy):
        begin(store, session.id)
    assert store.leases.renew([replace(held.baton, epoch=1)]).lost == {held.id}, "it is somebody else's since"
    assert store.leases.renew([]).done == set()


def test_a_holder_whose_process_is_gone_is_superseded_at_once(store: Store) -> None:
    session = new_session(store)
    old = begin(store, session.id, "one", owner=THERE)
    asked: list[Owner] = []

    def probe(owner: Owner) -> Liveness:
        asked.append(owner)
        return "gone"

    begun = begin(store, session.id, "two", probe=probe)
    assert asked == [THERE]
    assert begun.interrupted is not None
    assert [row.content[0]["text"] for row in store.sessions.messages(session.id)] == ["one", "two"]
    stored = b"".join(segment.facts for segment in store.events.read(session.id, 0))
    assert stored.count(b"data: ") == 2
    assert begun.next_event > old.next_event + 1
    assert b"id: %d\n" % (begun.next_event - 1) in stored


def test_a_process_is_judged_once_however_many_runs_it_has(store: Store) -> None:
    """To judge one means reading its files; housekeeping does so every few seconds."""
    busy = Owner("h", "b", 77, "1")
    for _ in range(5):
        begin(store, new_session(store).id, owner=busy)
    judged: list[Owner] = []

    def probe(owner: Owner) -> Liveness:
        judged.append(owner)
        return "unknown"

    seeing(store, probe).sweep.interrupt_dead(by_lease=True)
    assert judged.count(busy) == 1


def test_starting_up_closes_what_died_here_and_leaves_the_living_alone(store: Store) -> None:
    dead, living = new_session(store), new_session(store)
    died = begin(store, dead.id, owner=Owner("h", "b", 1, "1")).run
    lives = begin(store, living.id, owner=Owner("h", "b", 2, "1")).run

    def probe(owner: Owner) -> Liveness:
        return "gone" if owner.pid == 1 else "alive"

    closed = seeing(store, probe).sweep.interrupt_dead(by_lease=False)
    assert died.id in {run.id for run in closed}
    assert lives.id not in {run.id for run in closed}
    assert store.runs.get(died.id).status == "interrupted"
    assert store.runs.live_run(living.id) == lives
    begin(store, dead.id)
    assert store.runs.live_run(dead.id) is not None
