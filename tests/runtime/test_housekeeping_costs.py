"""What a tick of housekeeping asks of the database. Counts, never times."""

from __future__ import annotations

from collections.abc import Sequence

from app.runtime.housekeeping import Housekeeper
from app.runtime.live_run import LiveRun
from app.runtime.session_locks import SessionLocks
from app.runtime.streams.event_log import EventLogs
from app.store.store import Store
from app.telemetry.metrics import Metrics
from bench.figures.statements import statements
from tests.store.actors import begin, new_session


def run_of(store: Store, logs: EventLogs) -> LiveRun:
    session = new_session(store).id
    run = begin(store, session).run
    return LiveRun(run, SessionLocks().lock_of(session), logs.open(session, run.first_event))


def tick(store: Store, runs: Sequence[LiveRun], logs: EventLogs) -> int:
    """The number of its statements."""
    housekeeper = Housekeeper(store, logs, lambda: runs, metrics=Metrics())
    store.events.may_pack()  # asked for now and then
    with statements() as sent:
        housekeeper._tick()
    return len(sent)


def test_a_tick_for_runs_that_speak_is_one_transaction_however_many_they_are(store: Store) -> None:
    counts = []
    for number in (1, 20):
        logs = EventLogs()
        runs = [run_of(store, logs) for _ in range(number)]
        for run in runs:
            run.log.publish([b'{"type":"agent_choice"}'], run.end)
        counts.append(tick(store, runs, logs))
        assert all(run.log.unwritten(run.run.id) is None for run in runs)
    assert counts[0] == counts[1]
    assert counts[0] <= (4 if store.database.kind == "sqlite" else 6)


def test_a_tick_for_silent_runs_only_looks(store: Store) -> None:
    logs = EventLogs()
    assert tick(store, [run_of(store, logs) for _ in range(3)], logs) == 1
    assert tick(store, [], EventLogs()) == 0


def test_a_run_that_is_to_stop_hears_so_in_the_tick_that_writes_its_words(store: Store) -> None:
    logs = EventLogs()
    live = run_of(store, logs)
    live.log.publish([b'{"type":"agent_choice"}'], live.end)
    store.runs.request_stop(live.run.id, by="somebody")
    tick(store, [live], logs)
    assert live.cancellation.by == "somebody"
