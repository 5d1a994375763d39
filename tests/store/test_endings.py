"""However a run ends, each of its calls ends in a result that says what is known."""

from __future__ import annotations

import pytest
from sqlalchemy import delete, update

from app.conversation.run import Liveness, Owner, RunStatus
from app.conversation.run_outcome import interrupted
from app.conversation.session import Session
from app.conversation.transcript import Transcript
from app.errors import NotRunning, RunNotFound, SessionBusy
from app.store.event_segments import Segment
from app.store.store import Store
from app.store.tables import runs
from tests.store.actors import (
    THERE,
    begin,
    calling,
    everybody_is_gone,
    new_session,
    result,
    result_words,
    seeing,
    states,
    user,
)

CANCELLED = "The tool call was canceled by the user."
NOT_KNOWN = "It is not known whether this tool call took effect"


def _run_with_calls(store: Store) -> tuple[Session, str]:
    """One call has its result, one runs, one has not begun."""
    session = new_session(store)
    run = begin(store, session.id, "hello").run
    store.journal.add_turn(run.baton, session.id, calling("done", "runs", "waits"), tokens=(10, 5))
    store.journal.start_call(run.baton, session.id, "done")
    store.journal.add_result(run.baton, session.id, result("done", "42"), "completed")
    store.journal.start_call(run.baton, session.id, "runs")
    return session, run.id


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("cancelled", CANCELLED),
        ("failed", "This tool call was not run: the run failed before its turn came."),
        ("interrupted", "This tool call was not run: the run was interrupted before its turn came."),
    ],
)
def test_what_a_run_left_open_is_closed_in_words(store: Store, status: RunStatus, words: str) -> None:
    session, run_id = _run_with_calls(store)
    store.runs.finish(
        store.runs.get(run_id).baton, status, code="a-code", error="what happened", next_event=7
    )
    told = result_words(store, session.id)
    assert told["done"] == "42"
    assert told["runs"].startswith(NOT_KNOWN)
    assert told["waits"] == words
    assert states(store, session.id) == {"done": "completed", "runs": "unknown", "waits": "cancelled"}
    assert Transcript.of(store.sessions.messages(session.id)).open_calls == ()
    run = store.runs.get(run_id)
    assert (run.status, run.code, run.error, run.last_event) == (status, "a-code", "what happened", 6)
    assert run.ended_at is not None
    assert store.sessions.next_event(session.id) == 7
    errors = [
        row.content[0].get("is_error") for row in store.sessions.messages(session.id) if row.role == "tool"
    ]
    assert errors == [None, True, True]


def test_a_dead_run_is_closed_in_words_before_the_next_one_speaks(store: Store) -> None:
    session, run_id = _run_with_calls(store)
    begin(store, session.id, "are you there?", probe=everybody_is_gone)
    assert store.runs.get(run_id).status == "interrupted"
    rows = store.sessions.messages(session.id)
    assert [row.role for row in rows] == ["user", "assistant", "tool", "tool", "tool", "user"]
    assert Transcript.of(rows).open_calls == ()
    assert states(store, session.id) == {"done": "completed", "runs": "unknown", "waits": "cancelled"}


def test_a_delegated_tasks_calls_are_closed_with_the_run(store: Store) -> None:
    session = new_session(store)
    baton = begin(store, session.id, "hello").run.baton
    child = Session(f"{session.id}-kid", 1.0, parent_id=session.id)
    store.journal.add_turn(baton, session.id, calling("outer"), tokens=None)
    store.journal.start_call(baton, session.id, "outer")
    store.journal.add_child(baton, child, [user("a task")])
    store.journal.add_turn(baton, child.id, calling("inner"), tokens=None)
    store.runs.finish(baton, "cancelled")
    assert states(store, child.id) == {"inner": "cancelled"}
    assert Transcript.of(store.sessions.messages(child.id)).open_calls == ()
    assert states(store, session.id) == {"outer": "unknown"}


def test_a_finished_runs_last_events_are_stored_with_its_end(store: Store) -> None:
    session = new_session(store)
    run = begin(store, session.id).run
    segment = Segment(session.id, run.id, 1, 2, b"the last frames")
    assert store.runs.finish(run.baton, "finished", segments=[segment], next_event=3) is False
    assert store.events.read(session.id, 0) == [segment]
    assert begin(store, session.id).next_event == 3


def test_nothing_leaves_an_end_state(store: Store) -> None:
    session = new_session(store)
    run = begin(store, session.id).run
    store.runs.finish(run.baton, "finished")
    ended = store.runs.get(run.id)
    seeing(store, everybody_is_gone).runs.request_stop(run.id, "late")
    assert store.leases.renew([run.baton]).lost == {run.id}
    seeing(store, everybody_is_gone).sweep.interrupt_dead(by_lease=False)
    with pytest.raises(NotRunning):
        store.runs.release(run.id, interrupted("late"))
    assert store.runs.get(run.id) == ended
    assert [(s.status, s.stop_requested) for s in store.runs.signals([run.id])] == [("finished", None)]


def test_a_released_run_frees_its_session_and_says_why(store: Store) -> None:
    session, run_id = _run_with_calls(store)
    baton = store.runs.get(run_id).baton
    assert store.runs.quiet([baton])
    store.runs.release(run_id, interrupted("it hung"))
    assert not store.runs.quiet([baton]), "its holder has to hear of it"
    assert (store.runs.get(run_id).status, store.runs.get(run_id).error) == ("interrupted", "it hung")
    assert states(store, session.id)["waits"] == "cancelled"
    begin(store, session.id, "next")


def test_a_stop_is_word_for_a_living_holder_and_the_end_of_a_dead_one(store: Store) -> None:
    session = new_session(store)
    run, other = begin(store, session.id).run, begin(store, new_session(store).id).run
    assert store.runs.quiet([run.baton, other.baton])
    store.runs.request_stop(run.id, "ann")
    assert not store.runs.quiet([other.baton, run.baton])
    assert store.runs.quiet([other.baton])
    assert [signal.stop_requested for signal in store.runs.signals([run.id])] == ["ann"]
    with pytest.raises(SessionBusy):
        begin(store, session.id)
    seeing(store, everybody_is_gone).runs.request_stop(run.id, "ann")
    assert store.runs.get(run.id).status == "cancelled"
    begin(store, session.id)


def test_runs_are_listed_newest_first_and_for_those_who_may_see_them(store: Store) -> None:
    session = new_session(store, owner="runner")
    first = begin(store, session.id).run
    store.runs.finish(first.baton, "failed")
    second = begin(store, session.id).run
    assert [run.id for run in store.runs.recent(owner="runner")] == [second.id, first.id]
    assert [run.id for run in store.runs.recent(owner="runner", status=["failed"])] == [first.id]
    assert [run.id for run in store.runs.recent(session_id=session.id, limit=1)] == [second.id]
    assert store.runs.recent(owner="stranger") == []
    assert store.runs.live_run(session.id) == second
    with pytest.raises(RunNotFound):
        store.runs.get("nothing")
    with pytest.raises(RunNotFound):
        store.runs.release("nothing", interrupted(""))


@pytest.mark.parametrize(
    "words", ["NUL \0 inside", "half a character \ud800", "line\nbreak \u2028 \U0001f600"]
)
def test_the_end_is_stored_whatever_characters_the_error_has(store: Store, words: str) -> None:
    session = new_session(store)
    run = begin(store, session.id).run
    store.runs.finish(run.baton, "failed", error=words)
    assert store.runs.get(run.id).status == "failed"
    assert store.runs.get(run.id).error.startswith(words[:4])


def _there_is_gone(owner: Owner) -> Liveness:
    return "gone" if owner == THERE else "alive"


def test_a_run_that_can_not_be_closed_keeps_the_sweep_from_no_other(store: Store) -> None:
    odd, dead = (begin(store, new_session(store).id, owner=THERE).run for _ in range(2))
    with store.database.writing() as connection:
        of_a_newer_version = update(runs).where(runs.c.id == odd.id)
        connection.execute(of_a_newer_version.values(options_json="{not json"))
    swept = seeing(store, _there_is_gone).sweep.interrupt_dead(by_lease=False)
    assert dead.id in {run.id for run in swept}
    assert odd.id not in {run.id for run in swept}
    with store.database.writing() as connection:
        connection.execute(delete(runs).where(runs.c.id == odd.id))
