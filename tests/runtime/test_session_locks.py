"""One lock per session: taken at once or not at all, and given back once, by whoever has the claim."""

from __future__ import annotations

import threading

import pytest

from app.errors import SessionBusy
from app.runtime.session_locks import SessionLocks
from tests.harness.wire import in_parallel


def test_a_claimed_session_is_busy_and_others_are_not() -> None:
    locks = SessionLocks()
    claim = locks.claim("a")
    with pytest.raises(SessionBusy):
        locks.claim("a")
    other = locks.claim("b")
    assert locks.held() == {"a", "b"}
    claim.release()
    other.release()
    assert locks.held() == frozenset()
    locks.claim("a").release()


def test_a_claim_may_be_released_twice() -> None:
    locks = SessionLocks()
    claim = locks.claim("a")
    claim.release()
    claim.release()
    assert locks.held() == frozenset()


def test_a_late_release_does_not_free_the_next_ones_claim() -> None:
    locks = SessionLocks()
    first = locks.claim("a")
    first.release()
    second = locks.claim("a")
    first.release()
    with pytest.raises(SessionBusy):
        locks.claim("a")
    second.release()
    locks.claim("a").release()


def test_a_claim_is_released_by_another_thread() -> None:
    locks = SessionLocks()
    claim = locks.claim("a")
    thread = threading.Thread(target=claim.release)
    thread.start()
    thread.join()
    locks.claim("a").release()


def test_of_sixteen_threads_one_gets_the_session_and_nobody_ever_gets_it_with_another() -> None:
    locks = SessionLocks()
    inside = []

    def take() -> list[int]:
        """How often this thread had the session, of two hundred tries."""
        count = 0
        for _ in range(200):
            try:
                claim = locks.claim("a")
            except SessionBusy:
                continue
            inside.append(1)
            assert len(inside) == 1
            inside.pop()
            claim.release()
            claim.release()
            count += 1
        return [count]

    counts = in_parallel([take] * 16)
    assert sum(count for (count,) in counts) >= 1
    assert locks.held() == frozenset()
