"""Taking the baton: one winner (F1), refusals without a trace (F2) and from the first moment on (F3), and nobody
waits for somebody else (F12)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from app.conversation.run import Owner
from app.errors import (
    AgentNotFound,
    AppError,
    Draining,
    MissingEnvironment,
    ServerFull,
    SessionBusy,
    SessionNotFound,
    StalePrecondition,
)
from app.runtime.live_run import LiveRun
from app.runtime.runtime import Runtime
from app.store.engine import Database
from app.store.migrate import migrate
from app.store.run_request import RunRequest
from app.store.store import Store
from tests.harness.models import GatedModel
from tests.harness.process import eventually
from tests.harness.rows import all_rows
from tests.harness.wire import in_parallel
from tests.runtime.conftest import Agents, Manage
from tests.runtime.loops import PATIENCE, OneLoop, Patient, idle, read_all, said_by_user, say
from tests.store.actors import new_session, user


def _try(runtime: Runtime, session_id: str, text: str) -> list[LiveRun | SessionBusy]:
    try:
        return [say(runtime, session_id, text)]
    except SessionBusy as busy:
        return [busy]


def test_of_sixteen_starts_at_once_one_wins_and_the_others_are_told_of_it(
    store: Store, manage: Manage, agents: Agents
) -> None:
    model = GatedModel()
    runtime, session = manage(agents(model)), new_session(store)
    jobs = [lambda n=n: _try(runtime, session.id, f"message {n}") for n in range(16)]
    results = [one for (one,) in in_parallel(jobs)]
    (winner,) = [one for one in results if isinstance(one, LiveRun)]
    refusals = [one for one in results if isinstance(one, SessionBusy)]
    assert len(refusals) == 15
    assert {refusal.run.id for refusal in refusals if refusal.run} <= {winner.run.id}
    model.wait_for(1)  # it was inside all the while, and nobody else has come
    assert len(said_by_user(store, session.id)) == 1
    with pytest.raises(SessionBusy) as busy:
        say(runtime, session.id)
    assert busy.value.run.id == winner.run.id
    model.open()
    assert read_all(store, runtime, winner).count(b"stream_stopped") == 1
    assert len(store.runs.recent(session_id=session.id)) == 1


@pytest.fixture
def processes(database_url: str) -> Iterator[tuple[Patient, list[Runtime]]]:
    """Four runtimes with stores of their own on one database, as four processes have them."""
    patient = Patient()
    databases = [Database(database_url, connections=6) for _ in range(4)]
    migrate(databases[0])
    runtimes = [
        Runtime(
            Store(database, lease_seconds=30),
            OneLoop(patient.loop),
            max_streams=50,
            heartbeat_seconds=10,
            owner=Owner("host", "boot", pid, "1"),
        )
        for pid, database in enumerate(databases)
    ]
    yield patient, runtimes
    for runtime in runtimes:
        runtime.supervisor.drain(0)
    for database in databases:
        database.close()


def test_of_sixteen_starts_in_four_processes_one_wins(
    database_url: str, processes: tuple[Patient, list[Runtime]]
) -> None:
    patient, runtimes = processes
    database = Database(database_url, connections=2)
    store = Store(database, lease_seconds=30)
    session = new_session(store)
    jobs = [lambda n=n: _try(runtimes[n % 4], session.id, f"message {n}") for n in range(16)]
    results = [one for (one,) in in_parallel(jobs)]
    (winner,) = [one for one in results if isinstance(one, LiveRun)]
    assert patient.entered.wait(PATIENCE)
    assert len(said_by_user(store, session.id)) == 1
    for runtime in runtimes:
        with pytest.raises(SessionBusy) as busy:
            say(runtime, session.id)
        assert busy.value.run.id == winner.run.id
    patient.let_go()
    assert winner.finished.wait(PATIENCE)
    assert [run.status for run in store.runs.recent(session_id=session.id)] == ["finished"]
    database.close()


def test_refusals_leave_no_trace(store: Store, manage: Manage, agents: Agents) -> None:
    model = GatedModel()
    full, poor, other = manage(agents(model), max_streams=1), manage(agents(None)), manage(agents(model))
    busy, free = new_session(store, owner="ann"), new_session(store, owner="ann")
    live = say(full, busy.id)
    model.wait_for(1)
    eventually(lambda: live.log.unwritten(live.run.id) is None, "its events are written")
    before = all_rows(store.database)
    request = partial(RunRequest, session_id=free.id, key="plain", messages=[user("refused")])
    refused: list[tuple[type[AppError], Callable[[], LiveRun]]] = [
        (SessionBusy, lambda: say(full, busy.id)),
        (SessionBusy, lambda: say(other, busy.id)),
        (ServerFull, lambda: say(full, free.id)),
        (SessionNotFound, lambda: say(other, "nobody")),
        (SessionNotFound, lambda: other.manager.start(request(visible_to="bob"))),
        (AgentNotFound, lambda: say(other, free.id, key="unheard-of")),
        (AgentNotFound, lambda: other.manager.start(request(name="nobody"))),
        (MissingEnvironment, lambda: say(poor, free.id)),
        (StalePrecondition, lambda: other.manager.start(request(expected_position=3))),
    ]
    for error, start in refused:
        with pytest.raises(error):
            start()
        assert all_rows(store.database) == before
    other.supervisor.drain(0)
    with pytest.raises(Draining):
        say(other, free.id)
    assert all_rows(store.database) == before
    model.open()
    assert live.finished.wait(PATIENCE)
    assert say(full, free.id).finished.wait(PATIENCE)


class _SlowClaim:
    """Stops inside the transaction that claims one session, until the test lets it go on."""

    def __init__(self, store: Store, session_id: str) -> None:
        self.entered = threading.Event()
        self.go = threading.Event()
        real: Callable[..., Any] = store.claims.begin

        def begin(run_id: str, request: RunRequest, **options: Any) -> Any:
            if request.session_id == session_id and not self.entered.is_set():
                self.entered.set()
                assert self.go.wait(PATIENCE)
            return real(run_id, request, **options)

        setattr(store.claims, "begin", begin)  # noqa: B010 - mypy would compare the signatures


def test_a_session_is_busy_from_the_first_moment_and_the_others_are_not(store: Store, manage: Manage) -> None:
    runtime = manage(OneLoop(idle))
    slow, quick = new_session(store), new_session(store)
    claim = _SlowClaim(store, slow.id)
    started: list[LiveRun] = []
    thread = threading.Thread(target=lambda: started.append(say(runtime, slow.id)))
    thread.start()
    assert claim.entered.wait(PATIENCE)
    before = all_rows(store.database)
    with pytest.raises(SessionBusy):
        say(runtime, slow.id)
    assert all_rows(store.database) == before
    assert say(runtime, quick.id).finished.wait(PATIENCE)
    claim.go.set()
    thread.join(PATIENCE)
    assert started[0].finished.wait(PATIENCE)
    assert said_by_user(store, slow.id) == ["hello"]


def test_a_run_that_is_being_claimed_when_a_drain_begins_is_refused_or_drained(
    store: Store, manage: Manage
) -> None:
    runtime, session = manage(OneLoop(idle)), new_session(store)
    before = all_rows(store.database)
    claim = _SlowClaim(store, session.id)
    refused: list[type[Exception]] = []

    def start() -> None:
        with pytest.raises(Draining) as error:
            say(runtime, session.id)
        refused.append(error.type)

    starting = threading.Thread(target=start)
    starting.start()
    assert claim.entered.wait(PATIENCE)
    draining = threading.Thread(target=runtime.supervisor.drain, args=(PATIENCE,))
    draining.start()
    eventually(lambda: runtime.runs.draining, "the drain has begun")
    claim.go.set()
    starting.join(PATIENCE)
    draining.join(PATIENCE)
    assert refused == [Draining]
    assert all_rows(store.database) == before
    assert not runtime.locks.held()


def test_a_drain_waits_for_a_run_that_is_being_claimed(store: Store, manage: Manage) -> None:
    runtime, session = manage(OneLoop(idle)), new_session(store)
    ended: list[str] = []

    def drain() -> None:
        runtime.supervisor.drain(PATIENCE)
        ended.append("drain")

    with runtime.runs.admitted(session.id):
        draining = threading.Thread(target=drain)
        draining.start()
        eventually(lambda: runtime.runs.draining, "the drain has begun")
        ended.append("claim")
    draining.join(PATIENCE)
    assert ended == ["claim", "drain"]


def test_two_sessions_are_inside_the_model_at_the_same_time(
    store: Store, manage: Manage, agents: Agents
) -> None:
    model = GatedModel()
    runtime = manage(agents(model))
    runs = [say(runtime, new_session(store).id) for _ in range(2)]
    model.wait_for(2)
    model.open()
    for live in runs:
        assert live.finished.wait(PATIENCE)
        assert store.runs.get(live.run.id).status == "finished"


def test_the_bound_on_streams_counts_what_is_at_work(store: Store, manage: Manage) -> None:
    patient = Patient()
    runtime = manage(OneLoop(patient.loop), max_streams=2)
    runs = [say(runtime, new_session(store).id) for _ in range(2)]
    with pytest.raises(ServerFull):
        say(runtime, new_session(store).id)
    patient.let_go()
    for live in runs:
        assert live.finished.wait(PATIENCE)
    assert say(runtime, new_session(store).id).finished.wait(PATIENCE)
