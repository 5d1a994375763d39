"""One lock per session: acquired at once or not at all, and released once, by whichever thread has it."""

from __future__ import annotations

import threading
from collections import Counter

from app.runtime.session_locks import SessionLock, SessionLocks
from tests.harness.wire import in_parallel


def acquired(locks: SessionLocks, session_id: str) -> SessionLock:
    lock = locks.lock_of(session_id)
    assert lock.acquire(blocking=False)
    return lock


def is_busy(locks: SessionLocks, session_id: str) -> bool:
    lock = locks.lock_of(session_id)
    if lock.acquire(blocking=False):
        lock.release()
        return False
    return True


def test_a_locked_session_is_busy_and_others_are_not() -> None:
    locks = SessionLocks()
    lock = acquired(locks, "a")
    assert is_busy(locks, "a")
    other = acquired(locks, "b")
    assert locks.held() == {"a", "b"}
    lock.release()
    other.release()
    assert locks.held() == frozenset()
    assert not is_busy(locks, "a")


def test_a_lock_is_acquired_only_once_also_by_its_own_holder() -> None:
    lock = acquired(SessionLocks(), "a")
    assert not lock.acquire(blocking=False)


def test_a_lock_may_be_released_twice() -> None:
    locks = SessionLocks()
    lock = acquired(locks, "a")
    lock.release()
    lock.release()
    assert locks.held() == frozenset()


def test_a_late_release_does_not_free_the_next_holder_s_session() -> None:
    locks = SessionLocks()
    first = acquired(locks, "a")
    first.release()
    second = acquired(locks, "a")
    first.release()
    assert is_busy(locks, "a")
    second.release()
    assert not is_busy(locks, "a")


def test_a_lock_that_was_refused_releases_nothing() -> None:
    locks = SessionLocks()
    lock, refused = acquired(locks, "a"), locks.lock_of("a")
    assert not refused.acquire(blocking=False)
    refused.release()
    assert is_busy(locks, "a")
    lock.release()


def test_a_lock_is_released_by_another_thread() -> None:
    locks = SessionLocks()
    thread = threading.Thread(target=acquired(locks, "a").release)
    thread.start()
    thread.join()
    assert not is_busy(locks, "a")


def test_whoever_waits_is_told_after_each_release_and_may_lock_the_session_then() -> None:
    locks, told = SessionLocks(), Counter[str]()

    def tell(session_id: str) -> None:
        assert not is_busy_now(session_id)
        told[session_id] += 1

    def is_busy_now(session_id: str) -> bool:
        return locks.is_held(session_id)

    locks.when_free(tell)
    lock = acquired(locks, "a")
    assert not told
    lock.release()
    lock.release()
    assert told == {"a": 1}


def test_of_sixteen_threads_that_lock_and_release_no_two_ever_have_the_session_at_once() -> None:
    locks = SessionLocks()
    inside: list[int] = []

    def take() -> list[int]:
        """How often this thread had the session, of two hundred tries."""
        count = 0
        for _ in range(200):
            lock = locks.lock_of("a")
            if not lock.acquire(blocking=False):
                continue
            inside.append(1)
            assert len(inside) == 1
            inside.pop()
            lock.release()
            lock.release()
            count += 1
        return [count]

    counts = in_parallel([take] * 16)
    assert sum(count for (count,) in counts) >= 1
    assert locks.held() == frozenset()
