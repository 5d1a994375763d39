"""A job of the whole cluster is done by one process in each period."""

from __future__ import annotations

import threading

import pytest

from app.store.engine import Database
from app.store.store import Store


def test_a_job_is_taken_once_in_its_period(store: Store) -> None:
    assert store.jobs.take("sweep", period=60.0)
    assert not store.jobs.take("sweep", period=60.0)
    assert store.jobs.take("another sweep", period=60.0)


def test_a_job_is_due_again_when_its_period_is_over(store: Store) -> None:
    assert store.jobs.take("short", period=-1.0)
    assert store.jobs.take("short", period=60.0)
    assert not store.jobs.take("short", period=60.0)


@pytest.mark.parametrize("was_done_before", [False, True])
def test_of_many_who_take_a_job_at_once_one_does_it(database: Database, was_done_before: bool) -> None:
    name = f"raced {was_done_before}"
    stores = [Store(database, lease_seconds=30.0) for _ in range(8)]
    if was_done_before:
        stores[0].jobs.take(name, period=-1.0)
    barrier = threading.Barrier(len(stores))
    taken: list[bool] = []

    def take(store: Store) -> None:
        barrier.wait(5.0)
        taken.append(store.jobs.take(name, period=60.0))

    threads = [threading.Thread(target=take, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20.0)
    assert sorted(taken) == [False] * 7 + [True]
