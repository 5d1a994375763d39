"""Accounts: how many runs a name may have, and what a session and a name may cost."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import insert, update

from app.conversation.run import Run
from app.conversation.transcript import Message
from app.errors import BudgetReached, SessionBusy, TooManyRuns
from app.store.clock import today
from app.store.engine import Database
from app.store.fence import WrittenAlready
from app.store.quotas import Limits
from app.store.store import Store
from app.store.tables import (
    request_allowances,
    runs,
    sessions,
    spending,
)
from bench.figures.statements import statements
from tests.harness.rows import all_rows
from tests.harness.wire import in_parallel
from tests.store.actors import begin, new_session, user


def somebody() -> str:
    """A name of a test's own: the database is everybody's."""
    return f"name-{uuid.uuid4().hex}"


def with_limits(store: Store, **limits: Any) -> Store:
    return Store(store.database, lease_seconds=30.0, limits=Limits(**limits))


def costing(dollars: float) -> Message:
    return replace(user("said"), role="assistant", stop_reason="end_turn", cost=dollars)


def add_turn(store: Store, run: Run, dollars: float, *, session_id: str = "") -> None:
    store.journal.add_turn(run.baton, session_id or run.session_id, costing(dollars), tokens=None)


# ---- runs at the same time


def test_a_name_has_no_more_runs_than_it_may_and_another_name_has_its_own(store: Store) -> None:
    two, ann, bob = with_limits(store, runs_per_owner=2), somebody(), somebody()
    first = begin(two, new_session(two, owner=ann).id).run
    begin(two, new_session(two, owner=ann).id)
    third = new_session(two, owner=ann)
    before = all_rows(two.database)
    with pytest.raises(TooManyRuns):
        begin(two, third.id, "hello")
    assert all_rows(two.database) == before
    begin(two, new_session(two, owner=bob).id)
    two.runs.finish(first.baton, "finished")
    begin(two, third.id)


def test_sessions_of_nobody_have_no_account(store: Store) -> None:
    one = with_limits(store, runs_per_owner=1, owner_budget=0.01)
    for _ in range(3):
        add_turn(one, begin(one, new_session(one).id).run, 1.0)


def test_a_busy_session_is_busy_whatever_else_its_owner_has(store: Store) -> None:
    one = with_limits(store, runs_per_owner=1)
    session = new_session(one, owner=somebody())
    begin(one, session.id)
    with pytest.raises(SessionBusy):
        begin(one, session.id)


def test_the_run_of_a_dead_process_does_not_count_and_one_that_waits_for_a_person_does(store: Store) -> None:
    one, ann = with_limits(store, runs_per_owner=1), somebody()
    run = begin(one, new_session(one, owner=ann).id).run
    with one.database.writing() as connection:
        connection.execute(update(runs).where(runs.c.id == run.id).values(lease_expires_at=0.0))
    second = begin(one, new_session(one, owner=ann).id).run
    with one.database.writing() as connection:
        values = {"status": "awaiting_approval", "lease_expires_at": 0.0}
        connection.execute(update(runs).where(runs.c.id == second.id).values(values))
    with pytest.raises(TooManyRuns):
        begin(one, new_session(one, owner=ann).id)


@pytest.fixture
def processes(shared_url: str, database: Database) -> Iterator[list[Store]]:
    """Four stores with connections of their own, as four processes have them."""
    others = [Database(shared_url, connections=4) for _ in range(3)]
    yield [Store(one, lease_seconds=30.0, limits=Limits(runs_per_owner=3)) for one in (database, *others)]
    for other in others:
        other.close()


def test_of_sixteen_runs_begun_at_once_in_four_processes_as_many_begin_as_may(processes: list[Store]) -> None:
    for _ in range(4):
        ann = somebody()
        chosen = [new_session(processes[0], owner=ann).id for _ in range(16)]

        def claim(number: int, sessions_of_ann: list[str] = chosen) -> Run | None:
            try:
                return begin(processes[number % 4], sessions_of_ann[number]).run
            except TooManyRuns:
                return None

        begun = [run for run in in_parallel([lambda n=n: claim(n) for n in range(16)]) if run is not None]
        assert len(begun) == 3
        assert len(processes[0].runs.recent(owner=ann)) == 3


def test_a_claim_without_limits_asks_nothing_about_them(store: Store) -> None:
    limited = with_limits(store, runs_per_owner=9, session_budget=9.0, owner_budget=9.0)
    sent = {}
    for name, one in (("without", store), ("with", limited)):
        begin(one, new_session(one, owner=somebody()).id)  # a connection is there, statements are compiled
        session = new_session(one, owner=somebody())
        with statements() as sent[name]:
            begin(one, session.id)
    words = ("spending", "count(", "tree", "advisory", "audit")
    assert not [one for one in sent["without"] if any(word in one for word in words)]
    assert len(sent["with"]) - len(sent["without"]) in (3, 4)  # one more where turns have to be taken


# ---- dollars


def test_a_session_that_has_cost_what_it_may_is_not_begun_until_its_budget_is_raised(store: Store) -> None:
    cheap = with_limits(store, session_budget=1.0)
    session = new_session(cheap, owner=somebody())
    run = begin(cheap, session.id).run
    add_turn(cheap, run, 0.75)
    cheap.quotas.check_budget(session.id)
    add_turn(cheap, run, 0.25)
    with pytest.raises(BudgetReached) as reached:
        cheap.quotas.check_budget(session.id)
    assert reached.value.details == {"budget": "session", "limit": 1.0, "spent": 1.0}
    cheap.runs.finish(run.baton, "failed", code="budget_reached")
    before = all_rows(cheap.database)
    with pytest.raises(BudgetReached):
        begin(cheap, session.id, "more")
    assert all_rows(cheap.database) == before
    cheap.sessions.set_budget(session.id, 1.5)
    add_turn(cheap, begin(cheap, session.id, "more").run, 0.25)


@pytest.mark.parametrize(("settings", "own", "reached"), [(1, 0.0, False), (0, 0.5, True), (1, 0.5, True)])
def test_a_budget_of_its_own_counts_for_a_session_and_0_is_none(
    store: Store, settings: float, own: float, reached: bool
) -> None:
    one = with_limits(store, session_budget=settings)
    session = new_session(one)
    one.sessions.set_budget(session.id, own)
    add_turn(one, begin(one, session.id).run, 2.0)
    if not reached:
        one.quotas.check_budget(session.id)
        return
    with pytest.raises(BudgetReached):
        one.quotas.check_budget(session.id)


def test_delegated_tasks_are_on_the_account_of_the_session_that_they_come_from(store: Store) -> None:
    one = with_limits(store, session_budget=1.0)
    parent = new_session(one, owner="ann")
    run = begin(one, parent.id).run
    child = replace(parent, id=str(uuid.uuid4()), parent_id=parent.id)
    grandchild = replace(parent, id=str(uuid.uuid4()), parent_id=child.id)
    for session in (child, grandchild):
        one.journal.add_child(run.baton, session, [])
    add_turn(one, run, 0.25)
    add_turn(one, run, 0.25, session_id=child.id)
    add_turn(one, run, 0.5, session_id=grandchild.id)
    assert one.quotas.spent(parent.id) == 1.0
    with pytest.raises(BudgetReached):
        one.quotas.check_budget(parent.id)


def test_the_sessions_of_a_name_share_its_budget_of_the_day(store: Store) -> None:
    one, ann, bob = with_limits(store, owner_budget=1.0), somebody(), somebody()
    for _ in range(2):
        add_turn(one, begin(one, new_session(one, owner=ann).id).run, 0.5)
    hers, his = new_session(one, owner=ann), new_session(one, owner=bob)
    with pytest.raises(BudgetReached) as reached:
        begin(one, hers.id)
    assert reached.value.details == {"budget": "token", "limit": 1.0, "spent": 1.0}
    begin(one, his.id)


def test_a_session_that_is_deleted_has_cost_what_it_has_cost(store: Store) -> None:
    one, ann = with_limits(store, owner_budget=1.0), somebody()
    session = new_session(one, owner=ann)
    add_turn(one, begin(one, session.id).run, 1.0)
    one.sessions.delete(session.id)
    with pytest.raises(BudgetReached):
        begin(one, new_session(one, owner=ann).id)


def test_yesterday_does_not_count_today_and_is_forgotten_after_a_year(store: Store) -> None:
    one, ann = with_limits(store, owner_budget=1.0), somebody()
    with one.database.writing() as connection:
        for days in (1, 400):
            values = {"owner": ann, "day": today() - days, "cost": 50.0}
            connection.execute(insert(spending).values(values))
    begin(one, new_session(one, owner=ann).id)
    one.quotas.prune()
    assert len([row for row in all_rows(one.database)["spending"] if row[0] == ann]) == 1


def test_nothing_is_counted_where_no_name_has_a_budget(store: Store) -> None:
    ann = somebody()
    add_turn(store, begin(store, new_session(store, owner=ann).id).run, 1.0)
    assert not [row for row in all_rows(store.database)["spending"] if row[0] == ann]


def test_a_turn_whose_commit_was_not_seen_is_paid_once(store: Store) -> None:
    one, ann = with_limits(store, owner_budget=5.0), somebody()
    run = begin(one, new_session(one, owner=ann).id).run
    baton = replace(run.baton, write=1)
    one.journal.add_turn(baton, run.session_id, costing(1.0), tokens=None)
    with pytest.raises(WrittenAlready):
        one.journal.add_turn(baton, run.session_id, costing(1.0), tokens=None)
    (row,) = [row for row in all_rows(one.database)["spending"] if row[0] == ann]
    assert row[2] == 1.0
    with one.database.reading() as connection:
        cost = connection.execute(sessions.select().where(sessions.c.id == run.session_id)).one().cost
    assert cost == 1.0


# ---- requests in a minute


def take(store: Store, owner: str, wanted: int, *, per_minute: int = 60) -> int:
    return store.quotas.take_requests(owner, wanted, per_minute=per_minute)[0]


def move_allowance(store: Store, owner: str, seconds: float) -> None:
    """As if so much time had passed."""
    moved = {"full_at": request_allowances.c.full_at - seconds}
    with store.database.writing() as connection:
        connection.execute(
            update(request_allowances).where(request_allowances.c.owner == owner).values(moved)
        )


def test_an_allowance_is_a_minutes_requests_and_fills_evenly(store: Store) -> None:
    ann = somebody()
    assert [take(store, ann, 50, per_minute=6) for _ in range(2)] == [6, 0]
    taken, wait = store.quotas.take_requests(ann, 1, per_minute=6)
    assert taken == 0
    assert 0 < wait <= 10
    move_allowance(store, ann, 10.5)
    assert [take(store, ann, 5, per_minute=6) for _ in range(2)] == [1, 0]
    move_allowance(store, ann, 3600)
    assert take(store, ann, 50, per_minute=6) == 6
    assert take(store, somebody(), 1, per_minute=6) == 1


def test_processes_that_take_at_once_take_no_more_than_there_is(processes: list[Store]) -> None:
    for _ in range(3):
        ann = somebody()
        jobs = [lambda n=n, name=ann: take(processes[n % 4], name, 3, per_minute=5) for n in range(8)]
        assert sum(in_parallel(jobs)) == 5


def test_an_allowance_that_is_full_again_is_forgotten(store: Store) -> None:
    ann = somebody()
    take(store, ann, 1)
    move_allowance(store, ann, 3600)
    store.quotas.prune()
    assert not [row for row in all_rows(store.database)["request_allowances"] if row[0] == ann]
