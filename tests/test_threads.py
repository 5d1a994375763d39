"""A service thread counts as running only while it runs."""

from __future__ import annotations

import threading

import pytest

from app.errors import ServerFull
from app.threads import ServiceThread

PATIENCE = 5.0


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The next start of a thread fails, as when the system has none left."""
    failed: list[str] = []
    start = threading.Thread.start

    def refuse_once(thread: threading.Thread) -> None:
        if not failed:
            failed.append(thread.name)
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse_once)
    return failed


def test_a_start_that_failed_is_tried_again_by_the_next_caller(no_threads: list[str]) -> None:
    worked = threading.Event()
    service = ServiceThread(worked.set, name="service")
    with pytest.raises(ServerFull):
        service.ensure_running()
    assert no_threads == ["service"]
    assert not service.running
    service.ensure_running()
    assert worked.wait(PATIENCE)
    service.join()


def test_a_thread_that_has_died_is_started_again() -> None:
    runs: list[int] = []
    service = ServiceThread(lambda: runs.append(1), name="service")
    service.ensure_running()
    service.join()
    service.ensure_running()
    service.join()
    assert runs == [1, 1]


def test_while_it_runs_it_is_started_once() -> None:
    runs: list[int] = []
    stop = threading.Event()

    def work() -> None:
        runs.append(1)
        stop.wait(PATIENCE)

    service = ServiceThread(work, name="service")
    for _ in range(3):
        service.ensure_running()
    stop.set()
    service.join()
    assert runs == [1]


def test_a_closed_one_is_not_started_again() -> None:
    runs: list[int] = []
    service = ServiceThread(lambda: runs.append(1), name="service")
    service.close()
    service.ensure_running()
    service.join()
    assert runs == []
