"""However a run ends (F8), its session is free before anybody can see the end, and nothing half done is left."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from app.agent.loop_steps import Steps
from app.agent.model_client import ModelError
from app.agent.resumption import Resumption
from app.conversation.events import AgentChoice, StreamStarted
from app.conversation.run import LIVE, Baton
from app.conversation.run_outcome import RunOutcome
from app.conversation.session import Session
from app.conversation.transcript import Message, Transcript
from app.errors import AppError, ServerFull, StoreUnavailable
from app.event_encoder import EventEncoder
from app.runtime import known_rows, patience
from app.runtime.live_run import LiveRun
from app.runtime.run_plan import Plan
from app.runtime.runtime import Runtime
from app.runtime.streams.event_log import EventLog, EventLogs
from app.store.store import Store
from app.telemetry.metrics import Metrics
from tests.harness.models import ScriptedModel, call, called, said
from tests.harness.process import eventually
from tests.harness.rows import all_rows
from tests.runtime.conftest import Agents, Manage
from tests.runtime.faults import Faults
from tests.runtime.live import numbers
from tests.runtime.loops import (
    PATIENCE,
    OneLoop,
    Patient,
    idle,
    read_all,
    read_to_end,
    readers_of,
    said_by_user,
    say,
)
from tests.store.actors import new_session


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for a database that is away."""
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(patience, "FIRST_PAUSE", 0.01)


def assert_free(store: Store, runtime: Runtime, session_id: str) -> None:
    """Nobody holds the session, no row says so, its transcript is closed."""
    assert runtime.runs.find(session_id) is None
    assert [run for run in store.runs.recent(session_id=session_id) if run.status in LIVE] == []
    assert Transcript.of(store.sessions.messages(session_id)).open_calls == ()
    runtime.manager.lock(session_id).release()


def test_a_run_that_runs_out_of_memory_fails_and_its_session_is_free(store: Store, manage: Manage) -> None:
    def exhausted(*_: object) -> Steps:
        raise MemoryError

    runtime, session = manage(OneLoop(exhausted)), new_session(store)
    live = say(runtime, session.id)
    assert live.finished.wait(PATIENCE)
    assert store.runs.get(live.run.id).status == "failed"
    assert_free(store, runtime, session.id)


def test_a_session_can_be_started_again_as_soon_as_its_end_is_seen(store: Store, manage: Manage) -> None:
    runtime, session = manage(OneLoop(idle)), new_session(store)
    seen = b""
    for number in range(150):
        stream = read_all(store, runtime, say(runtime, session.id, f"message {number}"))
        assert stream.count(b'"stream_stopped"') == 1
        assert stream.endswith(b"}\n\n")
        seen += stream
    assert numbers(seen) == list(range(1, 301))
    assert len(said_by_user(store, session.id)) == 150


class _Failing(Exception):
    pass


def _planner_that_raises(error: Exception) -> object:
    class Planner:
        def plan(self, key: str, name: str | None) -> Plan:
            raise error

    return Planner()


@pytest.mark.parametrize(
    "error", [_Failing(), StoreUnavailable(), MemoryError()], ids=["bug", "away", "memory"]
)
def test_a_planner_that_breaks_leaves_nothing(store: Store, manage: Manage, error: Exception) -> None:
    runtime, session = manage(_planner_that_raises(error)), new_session(store)
    before = all_rows(store.database)
    with pytest.raises(type(error)):
        say(runtime, session.id)
    assert all_rows(store.database) == before
    assert_free(store, runtime, session.id)


@pytest.mark.parametrize("error", [_Failing(), StoreUnavailable()], ids=["bug", "away"])
def test_a_claim_that_fails_leaves_nothing(store: Store, manage: Manage, error: Exception) -> None:
    runtime, session = manage(OneLoop(idle)), new_session(store)
    before = all_rows(store.database)
    Faults(store).inject("claims.begin", error)
    with pytest.raises(type(error)):
        say(runtime, session.id)
    assert all_rows(store.database) == before
    assert_free(store, runtime, session.id)
    assert say(runtime, session.id).finished.wait(PATIENCE)


def test_a_thread_that_can_not_start_takes_back_the_run_and_its_messages(
    store: Store, manage: Manage, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime, session = manage(OneLoop(idle)), new_session(store)
    assert say(runtime, session.id, "earlier").finished.wait(PATIENCE)
    before = all_rows(store.database)
    real = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        if thread.name.startswith("run-"):
            raise RuntimeError("can't start new thread")
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(ServerFull):
        say(runtime, session.id)
    monkeypatch.undo()
    assert all_rows(store.database) == before
    assert runtime.runs.all() == []
    assert runtime.logs.find(session.id) is None
    assert_free(store, runtime, session.id)
    assert say(runtime, session.id).finished.wait(PATIENCE)
    assert said_by_user(store, session.id) == ["earlier", "hello"]


def _end_of(store: Store, runtime: Runtime, session_id: str) -> tuple[str, str]:
    """Runs once; how it ended. Its stream has exactly one end, and that is its last event."""
    live = say(runtime, session_id)
    stream = read_all(store, runtime, live)
    assert stream.count(b'"type":"stream_stopped"') == 1
    assert b'"type":"stream_stopped"' in stream.rpartition(b"data: ")[2]
    run = store.runs.get(live.run.id)
    return run.status, run.code


STEPS = [
    "reads.opening",
    "reads.look",
    "journal.add_turn",
    "journal.start_call",
    "journal.add_result",
    "sessions.get",
]


@pytest.fixture
def always_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a run knows already is too old for it."""
    monkeypatch.setattr(known_rows, "NEW_SECONDS", 0.0)


def _script() -> ScriptedModel:
    return ScriptedModel(called(call("a", "think", thought="hm")), said("done"))


@pytest.mark.parametrize("error", [_Failing("a bug"), StoreUnavailable()], ids=["a bug", "unavailable"])
@pytest.mark.parametrize("place", STEPS)
def test_a_store_that_fails_fails_the_run_and_frees_the_session(
    store: Store, manage: Manage, agents: Agents, always_looks: None, place: str, error: Exception
) -> None:
    runtime, session = manage(agents(_script())), new_session(store, tools_approved=True)
    Faults(store).inject(place, error, times=1_000)
    live = say(runtime, session.id, key="tools")
    read_all(store, runtime, live)
    sound = Store(store.database, lease_seconds=30)
    run = sound.runs.get(live.run.id)
    expected = error.code if isinstance(error, AppError) else "internal"
    assert (run.status, run.code) == ("failed", expected)
    assert_free(sound, runtime, session.id)


@pytest.mark.parametrize("after", [False, True], ids=["not done", "done, but the answer was lost"])
@pytest.mark.parametrize("place", [step for step in STEPS if step.startswith("journal.")])
def test_a_store_that_is_away_for_a_moment_fails_nothing_and_repeats_nothing(
    store: Store, manage: Manage, agents: Agents, place: str, after: bool
) -> None:
    model = _script()
    runtime, session = manage(agents(model)), new_session(store, tools_approved=True)
    Faults(store).inject(place, StoreUnavailable(), times=2 if not after else 1, after=after)
    live = say(runtime, session.id, key="tools")
    stream = read_all(store, runtime, live)
    assert store.runs.get(live.run.id).status == "finished"
    assert [row.role for row in store.sessions.messages(session.id)] == [
        "user",
        "assistant",
        "tool",
        "assistant",
    ]
    assert stream.count(b'"type":"tool_call_response"') == 1
    model.verify()
    assert_free(store, runtime, session.id)


def _loop_that_raises(error: Exception) -> OneLoop:
    def loop(
        live: LiveRun, session: Session, rows: Sequence[Message], resumption: Resumption | None
    ) -> Steps:
        yield StreamStarted(session_id=session.id)
        raise error

    return OneLoop(loop)


@pytest.mark.parametrize("error", [_Failing("a bug"), RecursionError("a bug")], ids=["a bug", "too deep"])
def test_a_bug_in_the_loop_frees_the_session_and_says_nothing_of_itself(
    store: Store, manage: Manage, error: Exception
) -> None:
    runtime, session = manage(_loop_that_raises(error)), new_session(store)
    assert _end_of(store, runtime, session.id) == ("failed", "internal")
    assert_free(store, runtime, session.id)
    assert b"a bug" not in b"".join(segment.facts for segment in store.events.read(session.id, 0))


def test_a_loop_that_can_not_even_be_made_frees_the_session(store: Store, manage: Manage) -> None:
    def loop(
        live: LiveRun, session: Session, rows: Sequence[Message], resumption: Resumption | None
    ) -> Steps:
        raise _Failing("a bug")

    runtime, session = manage(OneLoop(loop)), new_session(store)
    assert _end_of(store, runtime, session.id) == ("failed", "internal")
    assert_free(store, runtime, session.id)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ModelError("overloaded", kind="final", status=500), "model_failed"),
        (ModelError("NUL \0 and half \ud800", kind="final", status=400), "model_failed"),
        (_Failing("a bug"), "internal"),
    ],
    ids=["an error", "an odd error", "a bug"],
)
def test_a_model_that_fails_frees_the_session(
    store: Store, manage: Manage, agents: Agents, error: Exception, code: str
) -> None:
    model = ScriptedModel(error, said("better now"))
    runtime, session = manage(agents(model)), new_session(store)
    assert _end_of(store, runtime, session.id) == ("failed", code)
    assert_free(store, runtime, session.id)
    assert _end_of(store, runtime, session.id) == ("finished", "")
    model.verify()


@pytest.mark.parametrize("which", ["an event of the run", "the last event"])
def test_an_encoder_that_fails_frees_the_session(
    store: Store, manage: Manage, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    def loop(
        live: LiveRun, session: Session, rows: Sequence[Message], resumption: Resumption | None
    ) -> Steps:
        yield AgentChoice(content="x", session_id=session.id)

    runtime, session = manage(OneLoop(loop)), new_session(store)
    real = EventEncoder.encode

    def encode(encoder: EventEncoder, event: object) -> list[bytes]:
        if isinstance(event, AgentChoice) == (which == "an event of the run"):
            raise _Failing("not to be encoded")
        return real(encoder, event)  # type: ignore[arg-type] # every event is one

    monkeypatch.setattr(EventEncoder, "encode", encode)
    live = say(runtime, session.id)
    assert live.finished.wait(PATIENCE)
    monkeypatch.undo()
    assert store.runs.get(live.run.id).status in ("failed", "finished")
    assert_free(store, runtime, session.id)
    assert say(runtime, session.id).finished.wait(PATIENCE)


@pytest.mark.parametrize("place", ["reads.opening", "journal.add_turn", "reads.look"])
def test_a_run_that_is_cancelled_while_it_waits_for_the_database_ends_soon(
    store: Store,
    manage: Manage,
    agents: Agents,
    monkeypatch: pytest.MonkeyPatch,
    always_looks: None,
    place: str,
) -> None:
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 1000.0)
    monkeypatch.setattr(patience, "FIRST_PAUSE", 500.0)
    monkeypatch.setattr(patience, "CANCELLED_SECONDS", 0.0)
    runtime, session = manage(agents(_script())), new_session(store)
    failed = Faults(store).inject(place, StoreUnavailable(), times=1_000)
    live = say(runtime, session.id, key="tools")
    assert failed.wait(PATIENCE)
    assert not live.finished.is_set()
    live.cancellation.cancel("ann")
    assert live.finished.wait(PATIENCE)
    sound = Store(store.database, lease_seconds=30)
    assert sound.runs.get(live.run.id).status == "cancelled"
    assert_free(sound, runtime, session.id)


def test_an_end_that_is_stored_late_is_shown_late(store: Store, manage: Manage) -> None:
    runtime, session = manage(OneLoop(idle)), new_session(store)
    Faults(store).inject("runs.finish", StoreUnavailable(), times=3)
    assert _end_of(store, runtime, session.id) == ("finished", "")
    assert_free(store, runtime, session.id)


def test_an_end_whose_commit_was_not_seen_is_an_end(store: Store, manage: Manage) -> None:
    runtime, session = manage(OneLoop(idle)), new_session(store)
    Faults(store).inject("runs.finish", StoreUnavailable(), after=True)
    assert _end_of(store, runtime, session.id) == ("finished", "")
    stored = b"".join(segment.facts for segment in store.events.read(session.id, 0))
    assert stored.count(b"stream_stopped") == 1
    assert numbers(read_all(store, runtime, say(runtime, session.id))) == [3, 4]


@pytest.mark.parametrize("error", [StoreUnavailable(), _Failing("a bug")], ids=["away", "a bug"])
def test_an_end_that_can_not_be_stored_is_told_and_the_next_run_closes_it(
    store: Store, manage: Manage, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    store = Store(store.database, lease_seconds=-1.0)  # its lease has run out as soon as nobody renews it
    runtime, session = manage(OneLoop(idle), store=store), new_session(store)
    finish = store.runs.finish

    def fail_first(baton: Baton, *arguments: Any, **options: Any) -> bool:
        if said_by_user(store, session.id) == ["hello"]:
            raise error
        return finish(baton, *arguments, **options)

    monkeypatch.setattr(store.runs, "finish", fail_first)
    live = say(runtime, session.id)
    assert live.finished.wait(PATIENCE)
    stream = read_all(store, runtime, live)
    assert stream.count(b"stream_stopped") == 1
    assert numbers(stream) == [1]
    assert store.runs.get(live.run.id).status == "running"
    assert runtime.runs.find(session.id) is None
    after = say(runtime, session.id, "again")
    assert after.finished.wait(PATIENCE)
    assert store.runs.get(live.run.id).status == "interrupted"
    assert store.runs.get(after.run.id).status == "finished"
    assert_free(store, runtime, session.id)


@pytest.mark.parametrize(
    "place",
    [
        (RunOutcome, "last_events"),
        (EventLog, "seal"),
        (EventLog, "unwritten"),
        (EventLog, "mark_written"),
        (EventLog, "show_end"),
        (EventLogs, "release"),
        (Metrics, "run_ended"),
        (Metrics, "events_stored"),
    ],
    ids=lambda place: f"{place[0].__name__}.{place[1]}",
)
def test_a_run_whose_end_fails_at_any_step_is_over_and_its_session_is_free(
    store: Store, manage: Manage, monkeypatch: pytest.MonkeyPatch, place: tuple[type, str]
) -> None:
    patient = Patient()
    runtime, session = manage(OneLoop(patient.loop)), new_session(store)
    live = say(runtime, session.id)
    assert patient.entered.wait(PATIENCE)
    failed: list[str] = []
    kind, name = place
    real: Callable[..., Any] = getattr(kind, name)

    def fail_once(*arguments: Any, **options: Any) -> Any:
        if not failed and threading.current_thread().name.startswith("run-"):
            failed.append(name)
            raise MemoryError
        return real(*arguments, **options)

    monkeypatch.setattr(kind, name, fail_once)
    patient.let_go()
    assert live.finished.wait(PATIENCE)
    assert failed == [name]
    eventually(lambda: not store.runs.get(live.run.id).live, "its row is finished")
    assert_free(store, runtime, session.id)
    monkeypatch.undo()
    second = say(runtime, session.id, "again")
    assert second.finished.wait(PATIENCE)
    assert store.runs.get(second.run.id).status == "finished"


def test_an_end_that_the_database_would_not_take_is_stored_when_it_is_back(
    store: Store, manage: Manage, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = Patient()
    runtime, session = manage(OneLoop(patient.loop)), new_session(store)
    live = say(runtime, session.id)
    assert patient.entered.wait(PATIENCE)
    readers = readers_of(store, runtime)
    first = readers.of_run(live)  # it keeps the log
    finish, away = store.runs.finish, threading.Event()

    def finish_unless_away(*arguments: Any, **options: Any) -> bool:
        if away.is_set():
            raise StoreUnavailable()
        return finish(*arguments, **options)

    monkeypatch.setattr(store.runs, "finish", finish_unless_away)
    away.set()
    patient.let_go()
    assert live.finished.wait(PATIENCE)
    assert store.runs.get(live.run.id).live
    away.clear()
    eventually(lambda: store.runs.get(live.run.id).status == "finished", "its end is stored")
    assert_free(store, runtime, session.id)
    frames = b"".join(segment.facts for segment in store.events.read(session.id, 0))
    assert numbers(frames) == [1, 2]
    assert frames.count(b"stream_stopped") == 1

    def seen_again() -> bool:
        reader = readers.of_run(live)
        return read_to_end(reader) == frames

    eventually(seen_again, "a reader that comes now sees it as it is stored")
    assert read_to_end(first) == frames


def test_a_run_whose_log_takes_no_last_words_is_told_to_be_over_all_the_same(
    store: Store, manage: Manage, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = Patient()
    runtime, session = manage(OneLoop(patient.loop)), new_session(store)
    live = say(runtime, session.id)
    assert patient.entered.wait(PATIENCE)

    def exhausted(*_: Any) -> None:
        raise MemoryError

    with monkeypatch.context() as short:
        short.setattr(EventLog, "seal", exhausted)
        patient.let_go()
        stream = read_all(store, runtime, live)
    eventually(lambda: not store.runs.get(live.run.id).live, "its row is finished")
    assert live.finished.wait(PATIENCE)
    stored = b"".join(segment.facts for segment in store.events.read(session.id, 0))
    assert numbers(stored) == list(range(1, len(numbers(stored)) + 1))
    assert stored.count(b'"stream_stopped"') == stream.count(b'"stream_stopped"') == 1
    following = say(runtime, session.id, "again")
    assert numbers(read_all(store, runtime, following))[0] == numbers(stored)[-1] + 1
    assert_free(store, runtime, session.id)


def test_a_session_can_be_started_again_as_soon_as_its_row_says_that_it_has_ended(
    store: Store, manage: Manage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row is committed before the lock is released: a client that looks there may come in between."""
    runtime, session = manage(OneLoop(idle)), new_session(store)
    finish, stored, asked = store.runs.finish, threading.Event(), threading.Event()

    def finish_and_hold(*arguments: Any, **options: Any) -> bool:
        queued = finish(*arguments, **options)
        stored.set()
        assert asked.wait(PATIENCE)
        return queued

    monkeypatch.setattr(store.runs, "finish", finish_and_hold)
    first = say(runtime, session.id, "first")
    assert stored.wait(PATIENCE)
    assert store.runs.get(first.run.id).status == "finished"
    monkeypatch.setattr(store.runs, "finish", finish)
    wait = first.finished.wait

    def let_go_and_wait(timeout: float | None = None) -> bool:
        asked.set()
        return wait(timeout)

    monkeypatch.setattr(first.finished, "wait", let_go_and_wait)
    second = say(runtime, session.id, "second")
    assert second.finished.wait(PATIENCE)
    assert said_by_user(store, session.id) == ["first", "second"]
