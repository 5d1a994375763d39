"""A claim's refusals, checked before it is made: the same ones, and no lock taken."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.errors import AppError, BudgetReached, SessionNotFound, StalePrecondition, TooManyRuns
from app.store.engine import Database
from app.store.quotas import Limits
from app.store.store import Store
from tests.harness.rows import all_rows
from tests.store.actors import begin, new_session


@pytest.fixture
def store(database: Database) -> Store:
    return Store(database, lease_seconds=30.0, limits=Limits(runs_per_owner=1))


def check(
    store: Store, session_id: str, *, visible_to: str | None = None, expected: int | None = None
) -> None:
    store.claims.check(session_id, visible_to=visible_to, expected_position=expected, counts_runs=True)


def test_a_hopeless_claim_is_refused_beside_the_run_at_work_and_changes_nothing(store: Store) -> None:
    session = new_session(store, owner="bob")
    begin(store, session.id, "hello")
    store.sessions.set_budget(session.id, 1.0)
    check(store, session.id, visible_to="bob", expected=0)
    other = new_session(store, owner="bob")
    refused: list[tuple[type[AppError], Callable[[], None]]] = [
        (SessionNotFound, lambda: check(store, "nowhere")),
        (SessionNotFound, lambda: check(store, session.id, visible_to="ann")),
        (StalePrecondition, lambda: check(store, session.id, expected=-1)),
        (StalePrecondition, lambda: check(store, session.id, expected=7)),
        (TooManyRuns, lambda: check(store, other.id)),
    ]
    before = all_rows(store.database)
    for error, ask in refused:
        with pytest.raises(error):
            ask()
        assert all_rows(store.database) == before
    store.claims.check(other.id, visible_to=None, expected_position=None, counts_runs=False)


def test_a_spent_budget_is_noticed_beside_the_run_at_work(store: Store) -> None:
    session = new_session(store, owner="cleo")
    run = begin(store, session.id, "hello").run
    store.journal.add_cost(run.baton, session.id, 0.5)
    store.sessions.set_budget(session.id, 0.5)
    with pytest.raises(BudgetReached):
        check(store, session.id)
