"""Runs that don't stop when they are told: the session is taken from them, and they change nothing any more."""

from __future__ import annotations

import threading

import pytest

from app.conversation.run import LIVE
from app.conversation.transcript import Transcript
from app.errors import Draining, SessionBusy, SessionNotFound
from app.runtime import supervisor
from app.store.store import Store
from tests.harness.models import GatedModel
from tests.harness.process import eventually
from tests.harness.rows import all_rows
from tests.runtime.conftest import Agents, Manage
from tests.runtime.live import numbers
from tests.runtime.loops import (
    PATIENCE,
    OneLoop,
    Patient,
    Stubborn,
    control_of,
    read_all,
    read_to_end,
    readers_of,
    said_by_user,
    say,
)
from tests.store.actors import new_session, result_words, states


def _closed(store: Store, session_id: str) -> bool:
    return Transcript.of(store.sessions.messages(session_id)).open_calls == ()


def test_a_run_that_is_told_to_stop_says_so_until_it_has_stopped(store: Store, manage: Manage) -> None:
    stubborn = Stubborn()
    runtime, session = manage(OneLoop(stubborn.loop)), new_session(store)
    control = control_of(store, runtime)
    live = say(runtime, session.id)
    assert stubborn.entered.wait(PATIENCE)
    assert control.cancel(session.id, by="ann").status in LIVE
    with pytest.raises(SessionBusy) as busy:
        say(runtime, session.id)
    assert busy.value.busy_code == "stopping"
    stubborn.let_go()
    assert live.finished.wait(PATIENCE)
    assert result_words(store, session.id) == {"call-1": "too late"}  # it came in time: nobody had taken over


def test_a_run_that_never_stops_is_abandoned_and_its_late_result_changes_nothing(
    store: Store, manage: Manage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "ABANDON_SECONDS", 0.01)
    old, new = Stubborn(), Stubborn()
    planner = OneLoop(old.loop)
    runtime, session = manage(planner), new_session(store)
    first = say(runtime, session.id, "first")
    assert old.entered.wait(PATIENCE)
    control_of(store, runtime).cancel(session.id, by="ann", wait=PATIENCE)
    assert first.finished.is_set()
    assert store.runs.get(first.run.id).status == "cancelled"
    assert states(store, session.id) == {"call-1": "unknown"}
    assert _closed(store, session.id)

    monkeypatch.setattr(supervisor, "ABANDON_SECONDS", 1000.0)
    planner.loop = new.loop
    second = say(runtime, session.id, "second")
    assert new.entered.wait(PATIENCE)
    before = store.sessions.messages(session.id)
    old.let_go()
    assert old.refused.wait(PATIENCE)
    assert store.sessions.messages(session.id) == before
    with pytest.raises(
        SessionBusy
    ) as busy:  # the late end of the first run has not freed the second one's session
        say(runtime, session.id, "third")
    assert busy.value.run.id == second.run.id
    new.let_go()
    stream = read_all(store, runtime, second)
    assert stream.count(b'"stream_stopped"') == 1
    assert stream.count(b"too late to be heard") == 1
    assert said_by_user(store, session.id) == ["first", "second"]
    assert store.runs.get(second.run.id).status == "finished"
    everything = b"".join(segment.facts for segment in store.events.read(session.id, 0))
    assert everything.count(b"too late to be heard") == 1
    assert numbers(everything) == list(range(1, len(numbers(everything)) + 1))


def test_a_deleted_session_is_gone_though_its_run_goes_on(store: Store, manage: Manage) -> None:
    stubborn = Stubborn()
    runtime = manage(OneLoop(stubborn.loop))
    before = all_rows(store.database)
    session = new_session(store)
    live = say(runtime, session.id)
    assert stubborn.entered.wait(PATIENCE)
    reader = readers_of(store, runtime).of_run(live)
    assert control_of(store, runtime).delete(session.id, by="ann", wait=0) is False
    assert all_rows(store.database) == before
    with pytest.raises(SessionNotFound):
        store.sessions.get(session.id)
    read_to_end(reader)
    stubborn.let_go()
    assert stubborn.refused.wait(PATIENCE)
    assert live.finished.wait(PATIENCE)
    assert all_rows(store.database) == before
    assert runtime.runs.all() == []


def test_a_run_that_can_stop_has_stopped_when_its_session_is_deleted(store: Store, manage: Manage) -> None:
    patient = Patient()
    runtime, session = manage(OneLoop(patient.loop)), new_session(store)
    live = say(runtime, session.id)
    assert patient.entered.wait(PATIENCE)
    assert control_of(store, runtime).delete(session.id, by="ann", wait=PATIENCE) is True
    assert live.finished.is_set()


def test_a_released_run_has_lost_its_session_to_whoever_comes_next(store: Store, manage: Manage) -> None:
    stubborn = Stubborn()
    planner = OneLoop(stubborn.loop)
    runtime, session = manage(planner), new_session(store)
    live = say(runtime, session.id)
    assert stubborn.entered.wait(PATIENCE)
    reader = readers_of(store, runtime).of_run(live)
    run = control_of(store, runtime).release(live.run.id, by="an operator", reason="it hangs")
    assert (run.status, run.code) == ("interrupted", "interrupted")
    assert "it hangs" in run.error
    stream = read_to_end(reader)
    assert stream.count(b'"stream_stopped"') == 1
    assert b"it hangs" in stream
    before = all_rows(store.database)
    stubborn.let_go()
    assert stubborn.refused.wait(PATIENCE)
    assert all_rows(store.database) == before


def test_a_drain_waits_for_the_patient_cancels_the_slow_and_abandons_the_stubborn(
    store: Store, manage: Manage
) -> None:
    patient, stubborn = Patient(), Stubborn()
    planner = OneLoop(patient.loop)
    runtime = manage(planner)
    slow = say(runtime, new_session(store).id)
    planner.loop = stubborn.loop
    stuck = say(runtime, new_session(store).id)
    assert patient.entered.wait(PATIENCE)
    assert stubborn.entered.wait(PATIENCE)
    readers = [readers_of(store, runtime).of_run(live) for live in (slow, stuck)]
    runtime.supervisor.drain(0, stop_within=0.5)
    assert runtime.runs.all() == []
    for live, reader in zip((slow, stuck), readers, strict=True):
        assert live.finished.is_set()
        assert store.runs.get(live.run.id).status == "cancelled"
        assert _closed(store, live.run.session_id)
        assert read_to_end(reader).count(b'"stream_stopped"') == 1
    assert states(store, stuck.run.session_id) == {"call-1": "unknown"}
    before = all_rows(store.database)
    stubborn.let_go()
    assert stubborn.refused.wait(PATIENCE)
    assert all_rows(store.database) == before


def test_a_drain_lets_runs_finish_and_refuses_new_ones(store: Store, manage: Manage) -> None:
    patient = Patient()
    runtime, session = manage(OneLoop(patient.loop)), new_session(store)
    live = say(runtime, session.id)
    assert patient.entered.wait(PATIENCE)
    drained = threading.Thread(target=runtime.supervisor.drain, args=(PATIENCE,))
    drained.start()
    eventually(lambda: runtime.runs.draining, "the drain has begun")
    with pytest.raises(Draining):
        say(runtime, new_session(store).id)
    with pytest.raises(Draining):
        readers_of(store, runtime).of_session(session.id, None)
    patient.let_go()
    drained.join(PATIENCE)
    assert not drained.is_alive()
    assert store.runs.get(live.run.id).status == "finished"


def test_a_cancel_inside_the_model_keeps_the_session_usable(
    store: Store, manage: Manage, agents: Agents
) -> None:
    model = GatedModel()
    runtime, session = manage(agents(model)), new_session(store)
    live = say(runtime, session.id)
    model.wait_for(1)
    run = control_of(store, runtime).cancel(session.id, by="ann", wait=PATIENCE)
    assert (run.status, run.code) == ("cancelled", "cancelled")
    assert read_all(store, runtime, live).count(b'"stream_stopped"') == 1
    model.open()
    assert say(runtime, session.id, "again").finished.wait(PATIENCE)
    assert [row.role for row in store.sessions.messages(session.id)] == ["user", "user", "assistant"]
