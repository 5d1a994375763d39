"""The sweep closes runs whose process is gone. An expired lease proves that only if nothing better is known."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from app.conversation.run import Liveness, Owner, Question
from app.conversation.run_outcome import DIED, interrupted
from app.errors import SessionBusy
from app.store.store import Store
from app.store.tables import runs
from tests.store.actors import HERE, THERE, begin, new_session, seeing


def _swept(store: Store, run_id: str, liveness: Liveness, *, by_lease: bool = False) -> bool:
    """Sweeps; was that run closed? Other owners' runs, of other tests, are left alone."""

    def probe(owner: Owner) -> Liveness:
        return liveness if owner == THERE else "alive"

    closed = seeing(store, probe).sweep.interrupt_dead(by_lease=by_lease)
    swept = run_id in {run.id for run in closed}
    assert (store.runs.get(run_id).status == "interrupted") is swept
    return swept


@pytest.mark.parametrize("by_lease", [False, True])
@pytest.mark.parametrize("expired", [False, True])
@pytest.mark.parametrize("liveness", ["gone", "alive", "unknown"])
def test_an_expired_lease_counts_only_where_nobody_can_look_and_the_sweeper_had_no_outage(
    store: Store, impatient: Store, liveness: Liveness, expired: bool, by_lease: bool
) -> None:
    session = new_session(store)
    run = begin(impatient if expired else store, session.id, owner=THERE).run
    closed = liveness == "gone" or (liveness == "unknown" and expired and by_lease)
    assert _swept(store, run.id, liveness, by_lease=by_lease) is closed
    store.runs.release(run.id, interrupted("")) if not closed else None


@pytest.mark.parametrize("liveness", ["gone", "alive", "unknown"])
@pytest.mark.parametrize("expired", [False, True])
def test_a_claim_takes_a_session_whose_holder_is_gone_or_whose_lease_has_run_out(
    store: Store, impatient: Store, liveness: Liveness, expired: bool
) -> None:
    session = new_session(store)
    held = begin(impatient if expired else store, session.id, owner=THERE).run
    if liveness == "gone" or expired:
        begun = begin(store, session.id, "mine", probe=lambda _: liveness)
        assert begun.interrupted is not None
        assert begun.interrupted.id == held.id
        closed = store.runs.get(held.id)
        assert closed.error == DIED.error
        facts = b"".join(one.facts for one in store.events.read(session.id, 0))
        assert DIED.error.encode() in facts, "its readers are told so"
    else:
        with pytest.raises(SessionBusy):
            begin(store, session.id, "mine", probe=lambda _: liveness)


def test_a_run_that_renewed_its_lease_since_it_was_found_is_left_alone(
    store: Store, impatient: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin(impatient, new_session(store).id, owner=THERE).run
    real = type(store.sweep)._interrupt

    def renewed_first(*arguments: object) -> object:
        assert store.leases.renew([run.baton]).done == {run.id}
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(type(store.sweep), "_interrupt", renewed_first)
    assert not _swept(store, run.id, "unknown", by_lease=True)


def test_a_process_closes_its_own_run_whose_end_it_could_not_store(store: Store, impatient: Store) -> None:
    """To every other process its owner is alive, so no other one would."""
    lost = begin(impatient, new_session(store).id, owner=HERE).run
    at_work = begin(impatient, new_session(store).id, owner=HERE).run
    fresh = begin(store, new_session(store).id, owner=HERE).run
    closed = store.sweep.interrupt_forgotten(HERE, at_work=[at_work.id])
    ids = {run.id for run in closed}
    assert lost.id in ids
    assert not ids & {at_work.id, fresh.id}


def test_a_waiting_run_that_was_stopped_ends_though_its_process_did_not_hear_of_it(
    store: Store, impatient: Store
) -> None:
    stopped, still_waiting = (begin(impatient, new_session(impatient).id).run for _ in range(2))
    for run in (stopped, still_waiting):
        question = Question("max_iterations", session_id=run.session_id, details={"limit": 1}, id=run.id)
        impatient.journal.ask(run.baton, question)
    with store.database.writing() as connection:
        connection.execute(update(runs).where(runs.c.id == stopped.id).values(stop_requested="ann"))
    assert [run.id for run in store.sweep.cancel_stopped()] == [stopped.id]
    ended = store.runs.get(stopped.id)
    assert (ended.status, ended.stopped_by) == ("cancelled", "ann")
    assert store.runs.get(still_waiting.id).status == "awaiting_approval"
    assert store.sweep.cancel_stopped() == []
