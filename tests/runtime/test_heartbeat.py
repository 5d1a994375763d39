"""Leases are renewed in time, whatever else the process has to do, and whatever fails there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from app.conversation.run import Baton
from app.errors import ServerFull, StoreUnavailable
from app.runtime import heartbeat
from app.runtime.heartbeat import Heartbeat
from app.runtime.live_run import LiveRun
from app.runtime.runtime import Runtime
from app.store.engine import Database
from app.store.fence import Fenced
from app.store.store import Store
from app.telemetry.metrics import Metrics
from tests.harness.process import eventually
from tests.runtime.conftest import Manage
from tests.runtime.faults import Faults
from tests.runtime.loops import PATIENCE, OneLoop, Patient, Stubborn, say
from tests.store.actors import new_session


def _working(store: Store, runtime: Runtime, patient: Patient) -> LiveRun:
    live = say(runtime, new_session(store).id)
    assert patient.entered.wait(PATIENCE)
    return live


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """Holds up every transaction of the process's service threads, except the heartbeat's. The set has the names of
    the threads that are held up."""
    held_up: set[str] = set()
    go_on = threading.Event()

    def held(real: Callable[..., Any]) -> Callable[..., Any]:
        @contextmanager
        def transaction(*arguments: Any) -> Iterator[Any]:
            name = threading.current_thread().name
            if name in ("housekeeping", "periodic-tasks"):
                held_up.add(name)
                assert go_on.wait(PATIENCE)
            with real(*arguments) as connection:
                yield connection

        return transaction

    for kind in ("writing", "reading", "glance"):
        monkeypatch.setattr(Database, kind, held(getattr(Database, kind)))
    yield held_up
    go_on.set()


def test_leases_are_renewed_while_all_other_housekeeping_is_held_up(
    store: Store, manage: Manage, stuck: set[str]
) -> None:
    patient = Patient()
    runtime = manage(OneLoop(patient.loop), heartbeat_seconds=0.05)
    live = _working(store, runtime, patient)
    eventually(lambda: stuck == {"housekeeping", "periodic-tasks"}, "both threads are held up")
    before = store.runs.get(live.run.id).lease_expires_at
    eventually(lambda: store.runs.get(live.run.id).lease_expires_at > before + 0.3, "the lease was renewed")
    patient.let_go()


def test_leases_are_renewed_though_every_connection_of_the_pool_is_in_use(
    store: Store, manage: Manage
) -> None:
    patient = Patient()
    runtime = manage(OneLoop(patient.loop), heartbeat_seconds=0.05)
    live = _working(store, runtime, patient)
    readers = [store.database.reading() for _ in range(16)]
    for reader in readers[:-1]:
        reader.__enter__()
    before = store.runs.get(live.run.id).lease_expires_at
    readers[-1].__enter__()
    renewals: list[int] = []
    renew = store.leases.renew

    def counting(batons: Any) -> Fenced:
        renewed = renew(batons)
        renewals.append(len(renewed.done))
        return renewed

    store.leases.renew = counting  # type: ignore[method-assign]
    eventually(lambda: len(renewals) >= 2, "leases are renewed")
    assert set(renewals) == {1}
    for reader in readers:
        reader.__exit__(None, None, None)
    assert store.runs.get(live.run.id).lease_expires_at > before
    patient.let_go()


@pytest.mark.parametrize("error", [StoreUnavailable(), ValueError("a bug")], ids=["away", "a bug"])
def test_a_renewal_that_failed_is_tried_again(store: Store, manage: Manage, error: Exception) -> None:
    patient = Patient()
    Faults(store).inject("leases.renew", error, times=3)
    runtime = manage(OneLoop(patient.loop), heartbeat_seconds=0.05)
    live = _working(store, runtime, patient)
    before = store.runs.get(live.run.id).lease_expires_at
    eventually(lambda: store.runs.get(live.run.id).lease_expires_at > before, "the lease was renewed")
    patient.let_go()


def test_a_run_that_has_lost_its_session_is_told_without_holding_up_a_beat(
    store: Store, manage: Manage
) -> None:
    stubborn = Stubborn()
    runtime = manage(OneLoop(stubborn.loop), heartbeat_seconds=0.05)
    live = say(runtime, new_session(store).id)
    assert stubborn.entered.wait(PATIENCE)
    told_on: list[str] = []
    with live.cancellation.calling(lambda: told_on.append(threading.current_thread().name)):
        store.sessions.delete(live.run.session_id)
        eventually(lambda: told_on, "it was told")
    assert told_on == ["housekeeping"]
    stubborn.let_go()
    assert live.finished.wait(PATIENCE)


@pytest.mark.parametrize("name", ["heartbeat", "housekeeping", "periodic-tasks"])
def test_a_service_thread_that_could_not_be_started_once_is_started_by_the_next_run(
    store: Store, manage: Manage, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    patient = Patient()
    runtime, session = manage(OneLoop(patient.loop)), new_session(store)
    start = threading.Thread.start
    failed: list[str] = []

    def fail_once(thread: threading.Thread) -> None:
        if thread.name == name and not failed:
            failed.append(name)
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", fail_once)
    with pytest.raises(ServerFull):
        say(runtime, session.id)
    assert failed == [name]
    assert runtime.runs.find(session.id) is None
    live = say(runtime, session.id)
    running = {thread.name for thread in threading.enumerate()}
    assert {"heartbeat", "housekeeping", "periodic-tasks"} <= running
    patient.let_go()
    assert live.finished.wait(PATIENCE)


class _Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


def test_a_process_has_reached_the_database_without_a_break_only_after_that_long(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = _Clock(monkeypatch)
    faults = Faults(store)
    heartbeat = Heartbeat(store.leases, list, seconds=10.0, lose=lambda _: None, metrics=Metrics())

    def beat(after: float) -> bool:
        clock.now += after
        heartbeat._beat()
        return heartbeat.unbroken_for(30.0)

    assert not heartbeat.unbroken_for(0.0)
    assert [beat(10.0) for _ in range(5)] == [False, False, False, True, True]
    faults.inject("leases.reach", StoreUnavailable())
    assert [beat(1.0) for _ in range(3)] == [False, False, False]
    assert [beat(10.0) for _ in range(4)] == [False, False, True, True]
    assert [beat(3600.0), *(beat(10.0) for _ in range(3))] == [False, False, False, True]
    clock.now += 3600.0
    assert not heartbeat.unbroken_for(30.0), "its last beat is an hour old"


def test_a_lease_whose_row_is_locked_is_tried_again_before_the_next_beat(
    store: Store, manage: Manage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "RETRY_SECONDS", 0.05)
    patient, tries, pauses = Patient(), iter(range(3)), list[float]()

    def locked_at_first(batons: Sequence[Baton]) -> Fenced:
        return Fenced(frozenset(), frozenset()) if next(tries, None) is not None else renew(batons)

    renew = store.leases.renew
    store.leases.renew = locked_at_first  # type: ignore[method-assign]
    runtime = manage(OneLoop(patient.loop), heartbeat_seconds=0.0)
    real_wait = runtime.heartbeat._stopping.wait

    def wait(seconds: float) -> bool:
        pauses.append(seconds)
        return real_wait(0.05)

    runtime.heartbeat._stopping.wait = wait  # type: ignore[method-assign,assignment]
    runtime.heartbeat._seconds = 1000.0
    live = _working(store, runtime, patient)
    before = store.runs.get(live.run.id).lease_expires_at
    eventually(lambda: store.runs.get(live.run.id).lease_expires_at > before, "the lease was renewed")
    expected = [0.05, 0.05, 0.05, 1000.0]
    eventually(lambda: pauses[pauses.index(0.05) :][:4] == expected, "three times it was tried again soon")
    assert not live.lost
    patient.let_go()
