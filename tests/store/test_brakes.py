"""A brake holds a key for all processes, as long as the API named or as experience says, by the database's clock."""

from __future__ import annotations

import threading
import uuid

import pytest
from sqlalchemy import insert, select, update

from app.store.brake_store import FIRST_SECONDS, MAX_SECONDS
from app.store.clock import now
from app.store.store import Store
from app.store.tables import brakes


@pytest.fixture
def key() -> str:
    return uuid.uuid4().hex


def ended(store: Store, key: str, seconds_ago: float) -> None:
    with store.database.writing() as connection:
        values = {"held_until": now() - seconds_ago}
        connection.execute(update(brakes).where(brakes.c.key == key).values(**values))


def test_a_key_is_free_until_the_brake_is_pressed(store: Store, key: str) -> None:
    assert store.brakes.seconds_left(key) == 0
    assert store.brakes.press(key, 40.0) == 40.0
    assert 0 < store.brakes.seconds_left(key) <= 40.0
    assert store.brakes.seconds_left("another") == 0


def test_a_hold_is_bounded_and_never_shortened(store: Store, key: str) -> None:
    assert store.brakes.press(key, 1e6) == MAX_SECONDS
    assert store.brakes.press(key, 1.0) > 10
    assert store.brakes.press(key, None) > 10
    assert store.brakes.seconds_left(key) > 10


def test_holds_grow_while_the_api_goes_on_refusing_and_begin_anew_later(store: Store, key: str) -> None:
    assert store.brakes.press(key, None) == FIRST_SECONDS
    for doubling in (2, 4, 8):
        ended(store, key, 1.0)
        assert store.brakes.press(key, None) == FIRST_SECONDS * doubling
    for _ in range(8):
        ended(store, key, 1.0)
        store.brakes.press(key, None)
    assert 10 < store.brakes.seconds_left(key) <= MAX_SECONDS
    ended(store, key, 100.0)
    assert store.brakes.press(key, None) == FIRST_SECONDS


def test_many_refusals_at_the_same_moment_are_one(store: Store, key: str) -> None:
    both = threading.Barrier(6)

    def press() -> None:
        both.wait()
        store.brakes.press(key, None)

    threads = [threading.Thread(target=press) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.database.reading() as connection:
        [row] = connection.execute(select(brakes.c.steps).where(brakes.c.key == key)).all()
    assert row.steps <= 1, "a hold of half a second may have ended meanwhile, once"


def test_brakes_of_keys_that_are_not_used_any_more_are_dropped(store: Store, key: str) -> None:
    with store.database.writing() as connection:
        connection.execute(insert(brakes).values(key=key, held_until=now() - 100_000.0, steps=3))
    store.brakes.press("another", 1.0)
    with store.database.reading() as connection:
        assert connection.execute(select(brakes).where(brakes.c.key == key)).all() == []
