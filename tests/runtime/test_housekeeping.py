"""Housekeeping: leases renewed, events written behind, word from other processes, and one who fails holds up nobody."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import pytest

from app.agent.loop_steps import Ask, Steps
from app.agent.resumption import Resumption
from app.conversation.events import AgentChoice, MaxIterationsReached, StreamStarted
from app.conversation.queued_message import QueuedMessage
from app.conversation.run import Answer, Owner, Question
from app.conversation.session import Session
from app.conversation.transcript import Message
from app.errors import NothingToAnswer, SessionBusy, StoreUnavailable
from app.runtime import supervisor
from app.runtime.housekeeping import WRITING_SECONDS, pause_after
from app.runtime.live_run import LiveRun
from app.runtime.runtime import Runtime
from app.store.store import Store
from tests.harness.process import eventually
from tests.runtime.conftest import Manage
from tests.runtime.faults import Faults
from tests.runtime.live import numbers
from tests.runtime.loops import (
    PATIENCE,
    OneLoop,
    Patient,
    Stubborn,
    control_of,
    idle,
    read_all,
    read_to_end,
    readers_of,
    say,
)
from tests.store.actors import begin, everybody_is_gone, new_session, seeing

ELSEWHERE = Owner("elsewhere", "boot", 77, "1")


def _working(store: Store, runtime: Runtime, patient: Patient) -> LiveRun:
    live = say(runtime, new_session(store).id)
    assert patient.entered.wait(PATIENCE)
    return live


def test_a_run_that_writes_nothing_keeps_its_lease(store: Store, manage: Manage) -> None:
    patient = Patient()
    runtime = manage(OneLoop(patient.loop), heartbeat_seconds=0.05)
    live = _working(store, runtime, patient)
    first = store.runs.get(live.run.id).lease_expires_at
    eventually(lambda: store.runs.get(live.run.id).lease_expires_at > first + 0.3, "it was renewed twice")
    patient.let_go()


def test_events_are_in_the_store_while_the_run_goes_on(store: Store, manage: Manage) -> None:
    patient = Patient()
    runtime = manage(OneLoop(patient.loop))
    live = _working(store, runtime, patient)
    eventually(lambda: store.events.bounds(live.run.session_id) == (1, 1), "its first event is written")
    patient.let_go()
    assert live.finished.wait(PATIENCE)
    assert store.events.bounds(live.run.session_id) == (1, 2)


def test_a_run_learns_that_another_process_has_taken_its_session(store: Store, manage: Manage) -> None:
    patient, other = Patient(), Patient()
    here = manage(OneLoop(patient.loop))
    there = manage(OneLoop(other.loop), owner=ELSEWHERE, probe=everybody_is_gone)
    live = _working(store, here, patient)
    reader = readers_of(store, here).of_run(live)
    second = say(there, live.run.session_id, "mine now")
    stream = read_to_end(reader)
    assert stream.count(b'"stream_stopped"') == 1
    assert live.lost
    assert store.runs.get(live.run.id).status == "interrupted"
    holder = store.runs.live_run(live.run.session_id)
    assert holder is not None
    assert holder.id == second.run.id
    other.let_go()
    assert second.finished.wait(PATIENCE)


def test_a_stop_that_another_process_was_asked_for_arrives(store: Store, manage: Manage) -> None:
    patient = Patient()
    here = manage(OneLoop(patient.loop))
    there = manage(OneLoop(patient.loop), owner=ELSEWHERE)
    live = _working(store, here, patient)
    run = control_of(store, there).cancel(live.run.session_id, by="ann", wait=PATIENCE)
    assert run.status == "cancelled"
    assert live.cancellation.by == "ann"


def test_a_session_that_another_process_has_deleted_holds_up_nobody(store: Store, manage: Manage) -> None:
    stubborn, patient = Stubborn(), Patient()
    planner = OneLoop(stubborn.loop)
    runtime = manage(planner, heartbeat_seconds=0.05)
    gone = say(runtime, new_session(store).id)
    assert stubborn.entered.wait(PATIENCE)
    planner.loop = patient.loop
    here = _working(store, runtime, patient)
    gone.log.publish([b'{"type":"agent_choice"}'], gone.end)
    store.sessions.delete(gone.run.session_id)
    eventually(lambda: gone.lost, "it has noticed")
    before = store.runs.get(here.run.id).lease_expires_at
    eventually(lambda: store.runs.get(here.run.id).lease_expires_at > before, "the other's lease is renewed")
    eventually(lambda: store.events.bounds(here.run.session_id) == (1, 1), "the other's events are written")
    patient.let_go()
    stubborn.let_go()
    assert here.finished.wait(PATIENCE)
    assert store.runs.get(here.run.id).status == "finished"


@pytest.mark.parametrize("place", ["events.append", "runs.signals", "leases.renew", "events.newest"])
@pytest.mark.parametrize("error", [StoreUnavailable(), ValueError("a bug")], ids=["away", "a bug"])
def test_housekeeping_goes_on_after_a_failure(
    store: Store, manage: Manage, place: str, error: Exception
) -> None:
    patient = Patient()
    Faults(store).inject(place, error, times=2)
    runtime = manage(OneLoop(patient.loop), heartbeat_seconds=0.05)
    live = _working(store, runtime, patient)
    first = store.runs.get(live.run.id).lease_expires_at
    eventually(lambda: store.runs.get(live.run.id).lease_expires_at > first, "the lease is renewed")
    eventually(lambda: store.events.bounds(live.run.session_id) == (1, 1), "the event is written")
    patient.let_go()


def test_a_reader_in_one_process_follows_a_run_in_another(store: Store, manage: Manage) -> None:
    patient = Patient()
    here = manage(OneLoop(patient.loop))
    there = manage(OneLoop(patient.loop), owner=ELSEWHERE)
    live = _working(store, here, patient)
    eventually(lambda: store.events.bounds(live.run.session_id) == (1, 1), "its first event is written")
    run = store.runs.get(live.run.id)
    far = readers_of(store, there).of_past_run(run)
    near = readers_of(store, here).of_run(live)
    far_bytes: list[bytes] = []

    def read_far() -> None:
        while (piece := far.next(PATIENCE)) is not None:
            far_bytes.append(piece)

    thread = threading.Thread(target=read_far)
    thread.start()
    patient.let_go()
    near_bytes = read_to_end(near)
    thread.join(PATIENCE)
    assert not thread.is_alive()
    far.close()
    assert b"".join(far_bytes) == near_bytes
    assert numbers(near_bytes) == [1, 2]


class _Asking:
    """A run that asks a person whether it may go on."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []

    def loop(
        self, live: LiveRun, session: Session, rows: Sequence[Message], resumption: Resumption | None
    ) -> Steps:
        answer = resumption.answer if resumption else None
        if answer is None:
            yield StreamStarted(session_id=live.run.session_id)
            question = Question("max_iterations", live.run.session_id)
            answer = yield Ask(question, MaxIterationsReached(max_iterations=1))
        self.answers.append(answer)
        yield AgentChoice(content=f"so be it: {answer.decision}", session_id=live.run.session_id)


KINDS = ("approval", "max_iterations")


def test_an_answer_given_to_another_process_reaches_the_holder(store: Store, manage: Manage) -> None:
    asking = _Asking()
    here = manage(OneLoop(asking.loop))
    there = manage(OneLoop(asking.loop), owner=ELSEWHERE)
    live = say(here, new_session(store).id)
    eventually(lambda: store.runs.get(live.run.id).status == "awaiting_approval", "it has asked")
    with pytest.raises(SessionBusy) as busy:
        say(here, live.run.session_id)
    assert busy.value.busy_code == "awaiting_approval"
    control_of(store, there).answer(live.run.session_id, Answer("approve", by="ann"), kinds=KINDS)
    stream = read_all(store, here, live)
    assert b"so be it: approve" in stream
    assert [answer.by for answer in asking.answers] == ["ann"]
    assert store.runs.get(live.run.id).status == "finished"
    with pytest.raises(NothingToAnswer):
        control_of(store, there).answer(live.run.session_id, Answer("reject"), kinds=KINDS)


def test_an_answer_to_a_dead_processs_question_lets_the_run_go_on_here(store: Store, manage: Manage) -> None:
    asking = _Asking()
    dead = manage(OneLoop(asking.loop), owner=ELSEWHERE)
    here = manage(OneLoop(asking.loop), probe=everybody_is_gone)
    lost = say(dead, new_session(store).id)
    eventually(lambda: store.runs.get(lost.run.id).status == "awaiting_approval", "it has asked")
    assert here.supervisor.recover() == 0  # it still waits
    control = control_of(seeing(store, everybody_is_gone), here)
    control.answer(lost.run.session_id, Answer("approve"), kinds=KINDS)
    live = here.runs.find(lost.run.session_id)
    if live is not None:
        assert live.finished.wait(PATIENCE)
    assert lost.finished.wait(PATIENCE)  # and the one that was believed dead writes nothing more
    run = store.runs.get(lost.run.id)
    assert (run.status, run.epoch) == ("finished", 1)
    assert [answer.decision for answer in asking.answers] == ["approve"]
    frames = b"".join(segment.facts for segment in store.events.read(lost.run.session_id, 0))
    assert frames.count(b"so be it") == 1
    assert frames.count(b"stream_stopped") == 1


def test_a_dead_process_is_cleaned_up_after_at_the_next_start(store: Store, manage: Manage) -> None:
    stubborn = Stubborn()
    dead = manage(OneLoop(stubborn.loop), owner=ELSEWHERE)
    lost = say(dead, new_session(store).id)
    assert stubborn.entered.wait(PATIENCE)
    here = manage(OneLoop(Patient().loop), probe=everybody_is_gone)
    assert here.supervisor.recover() == 1
    assert here.supervisor.recover() == 0
    assert store.runs.get(lost.run.id).status == "interrupted"
    stubborn.let_go()
    assert stubborn.refused.wait(PATIENCE)
    frames = b"".join(segment.facts for segment in store.events.read(lost.run.session_id, 0))
    assert frames.count(b"stream_stopped") == 1
    assert b"the process that it ran in died" in frames


def test_what_a_dead_process_left_is_closed_though_nobody_asks(
    store: Store, manage: Manage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "SWEEP_SECONDS", 0.0)
    patient = Patient()
    dead = manage(OneLoop(patient.loop), owner=ELSEWHERE)
    live = _working(store, dead, patient)
    here = manage(OneLoop(patient.loop), probe=everybody_is_gone)
    here.services.ensure_running()
    eventually(lambda: store.runs.get(live.run.id).status == "interrupted", "it was closed")
    patient.let_go()
    assert live.finished.wait(PATIENCE)


def test_follow_ups_that_a_dead_process_did_not_begin_with_are_begun_with(
    store: Store, manage: Manage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "STRANDED_SECONDS", 0.0)
    runtime = manage(OneLoop(idle))
    session = new_session(store)
    assert say(runtime, session.id).finished.wait(PATIENCE)
    cancelled = new_session(store)
    store.runs.finish(begin(store, cancelled.id).run.baton, "cancelled")
    for session_id in (session.id, cancelled.id):
        words = ({"type": "text", "text": "later"},)
        waiting = QueuedMessage(f"m-{session_id}", session_id, "followup", words, time.time() - 60, "me")
        store.queue.add([waiting], needs_run=False)
    eventually(lambda: len(store.runs.recent(session_id=session.id)) >= 2, "a run began")
    assert len(store.runs.recent(session_id=cancelled.id)) == 1  # a stopped run is not begun anew


def test_follow_ups_start_by_a_claim_where_a_living_process_let_its_lease_run_out(
    store: Store, manage: Manage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "STRANDED_SECONDS", 0.0)
    monkeypatch.setattr(supervisor, "SWEEP_SECONDS", 0.0)
    session, without = new_session(store), new_session(store)
    stopped = Store(store.database, lease_seconds=-1.0)
    held = [begin(stopped, each.id, owner=ELSEWHERE).run for each in (session, without)]
    words = ({"type": "text", "text": "later"},)
    waiting = QueuedMessage("m", session.id, "followup", words, time.time() - 60, "me")
    assert store.queue.add([waiting], needs_run=False)
    runtime = manage(OneLoop(idle), probe=lambda _: "alive")
    runtime.services.ensure_running()
    eventually(lambda: len(store.runs.recent(session_id=session.id)) >= 2, "a run began")
    assert runtime.supervisor.recover(by_lease=True) == 0
    assert [store.runs.get(run.id).status for run in held] == ["interrupted", "running"]


def test_a_run_whose_end_its_process_could_not_store_is_closed_by_that_process(
    store: Store, manage: Manage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No other process does it: to them its owner lives."""
    monkeypatch.setattr(supervisor, "SWEEP_SECONDS", 0.0)
    store = Store(store.database, lease_seconds=-1.0)
    Faults(store).inject("runs.finish", ValueError("a bug"), times=2)
    runtime, other = (
        manage(OneLoop(idle), store=store),
        manage(OneLoop(idle), owner=ELSEWHERE, probe=lambda _: "alive", store=store),
    )
    live = say(runtime, new_session(store).id)
    assert live.finished.wait(PATIENCE)
    assert other.supervisor.recover(by_lease=True) == 0
    eventually(lambda: store.runs.get(live.run.id).status == "interrupted", "its own process closes it")


@pytest.mark.parametrize(
    ("took", "pause"), [(0.0, 0.0), (0.01, 0.1), (0.05, 0.5), (0.1, WRITING_SECONDS), (3.0, WRITING_SECONDS)]
)
def test_writing_events_behind_takes_a_tenth_of_the_time_but_is_not_put_off_for_long(
    took: float, pause: float
) -> None:
    assert pause_after(took) == pytest.approx(pause)
