"""A run that waits for a person changes hands: when its process drains, at the moment of the answer, and when the
process that got the answer can't go on with it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from app.agent.loop_steps import Ask, SafePoint, Steps
from app.agent.resumption import Resumption
from app.conversation.audit_entry import Requester
from app.conversation.events import AgentChoice, MaxIterationsReached, StreamStarted
from app.conversation.run import Answer, Question
from app.conversation.session import Session
from app.conversation.transcript import Message
from app.errors import Draining, ServerFull, StoreUnavailable
from app.runtime.housekeeping import Housekeeper
from app.runtime.live_run import LiveRun
from app.runtime.run_control import queued_messages
from app.runtime.runtime import Runtime
from app.store.audit_notes import requested_by
from app.store.engine import Database
from app.store.event_segments import RESERVED_NUMBERS
from app.store.migrate import migrate
from app.store.store import Store
from tests.harness.process import eventually
from tests.harness.rows import all_rows
from tests.runtime.conftest import Manage
from tests.runtime.faults import Faults
from tests.runtime.loops import PATIENCE, OneLoop, control_of, say
from tests.store.actors import THERE, new_session

KINDS = ("max_iterations",)
APPROVE = Answer("approve", by="ann")


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    database = Database(database_url)
    migrate(database)
    yield Store(database, lease_seconds=30.0)
    database.close()


class Asking:
    """A run that lets in what was said, asks a person, and does so once more when it goes on."""

    def __init__(self) -> None:
        self.answers: list[str] = []
        self.let_in: list[str] = []
        self.before_letting_in: Callable[[], object] = lambda: None

    def loop(
        self, live: LiveRun, session: Session, rows: Sequence[Message], resumption: Resumption | None
    ) -> Steps:
        answer = resumption.answer if resumption else None
        if answer is None:
            yield StreamStarted(session_id=session.id)
            yield from self._let_in(session)
            question = Question("max_iterations", session.id)
            answer = yield Ask(question, MaxIterationsReached(max_iterations=1))
        self.answers.append(answer.decision)
        yield from self._let_in(session)
        yield AgentChoice(content=f"so be it: {answer.decision}", session_id=session.id)

    def _let_in(self, session: Session) -> Steps:
        self.before_letting_in()
        arrived = yield SafePoint(session.id)
        self.let_in += [row.content[0]["text"] for row in arrived or ()]


class Stage:
    """Two processes that share a store, and a run of the first one that has asked."""

    def __init__(self, store: Store, manage: Manage) -> None:
        self.asking = Asking()
        self.store = store
        self.here = manage(OneLoop(self.asking.loop))
        self.there = manage(OneLoop(self.asking.loop), owner=THERE)
        self.session = new_session(store).id

    def ask(self) -> LiveRun:
        live = say(self.here, self.session)
        self.wait_for("awaiting_approval", live)
        eventually(lambda: live.log.next_number == 3, "the question can be seen")
        return live

    def wait_for(self, status: str, live: LiveRun) -> None:
        eventually(lambda: self.store.runs.get(live.run.id).status == status, f"the run is {status}")

    def answer(self, runtime: Runtime) -> None:
        with requested_by(Requester("ann")):
            control_of(self.store, runtime).answer(self.session, APPROVE, kinds=KINDS)

    def answer_unseen(self) -> None:
        """As another process stores it: this one has not seen it yet."""
        self.store.answers.answer(self.session, APPROVE, kinds=KINDS)

    def steer(self, text: str) -> None:
        block = {"type": "text", "text": text}
        control_of(self.store, self.there).steer(
            queued_messages(self.session, "steer", [[block]], by="ann", at=0.0)
        )


@pytest.fixture
def stage(store: Store, manage: Manage) -> Stage:
    return Stage(store, manage)


def test_a_drain_of_no_time_lets_go_of_a_run_that_waits_and_another_process_goes_on(stage: Stage) -> None:
    live = stage.ask()
    stage.here.supervisor.drain(0)
    assert stage.here.runs.find(stage.session) is None
    assert stage.store.runs.get(live.run.id).status == "awaiting_approval"
    stage.answer(stage.there)
    stage.wait_for("finished", live)
    assert stage.asking.answers == ["approve"]


@pytest.mark.parametrize("seconds", [0, PATIENCE])
def test_an_answer_that_a_draining_process_has_not_seen_is_taken(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    monkeypatch.setattr(Housekeeper, "_heed", lambda *_: None)
    live = stage.ask()
    stage.answer_unseen()
    stage.here.supervisor.drain(seconds)
    assert stage.asking.answers == ["approve"]
    # a drain of no time may stop the run, as every run that works; it does not lose it
    ends = {"finished"} if seconds else {"finished", "cancelled"}
    assert stage.store.runs.get(live.run.id).status in ends
    assert stage.store.sweep.interrupt_dead(by_lease=True) == []


def test_a_draining_process_refuses_an_answer_that_it_could_not_take_and_changes_nothing(
    stage: Stage,
) -> None:
    live = stage.ask()
    stage.here.supervisor.drain(0)
    before = all_rows(stage.store.database)
    with pytest.raises(Draining):
        stage.answer(stage.here)
    assert all_rows(stage.store.database) == before
    stage.answer(stage.there)
    stage.wait_for("finished", live)


def test_a_stop_that_comes_while_a_run_is_let_go_ends_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = stage.ask()
    park = stage.store.answers.park

    def stopped_meanwhile(*given: Any, **named: Any) -> Answer | None:
        answer = park(*given, **named)
        live.cancellation.cancel("ann")
        return answer

    monkeypatch.setattr(stage.store.answers, "park", stopped_meanwhile)
    stage.here.supervisor.drain(0)
    assert stage.store.runs.get(live.run.id).status == "cancelled"


@pytest.mark.parametrize("after", [False, True])
def test_a_run_is_let_go_though_the_database_breaks_off_meanwhile(stage: Stage, after: bool) -> None:
    """Before or after the commit."""
    live = stage.ask()
    Faults(stage.store).inject("answers.park", StoreUnavailable("it is away"), after=after)
    stage.here.supervisor.drain(0)
    assert stage.store.runs.get(live.run.id).status == "awaiting_approval"
    stage.answer(stage.there)
    stage.wait_for("finished", live)


def test_a_run_is_adopted_though_only_the_commits_answer_is_lost(stage: Stage) -> None:
    live = stage.ask()
    seen = live.log.next_number
    stage.here.supervisor.drain(0)
    Faults(stage.store).inject("answers.answer", StoreUnavailable("it is away"), skip=1, after=True)
    stage.answer(stage.there)
    stage.wait_for("finished", live)
    assert stage.asking.answers == ["approve"]
    assert [segment.first for segment in stage.store.events.read(stage.session, seen - 1)] == [seen]


def test_an_answer_that_was_not_stored_can_be_given_again(stage: Stage) -> None:
    live = stage.ask()
    stage.here.supervisor.drain(0)
    Faults(stage.store).inject("answers.answer", StoreUnavailable("it is away"), skip=1)
    with pytest.raises(StoreUnavailable):
        stage.answer(stage.there)
    stage.answer(stage.there)
    stage.wait_for("finished", live)


def test_an_adopter_delivers_no_steer_a_second_time(stage: Stage) -> None:
    reached, said = threading.Event(), threading.Event()

    def wait() -> None:
        reached.set()
        assert said.wait(PATIENCE)

    stage.asking.before_letting_in = wait
    live = say(stage.here, stage.session)
    assert reached.wait(PATIENCE)
    stage.steer("left")
    said.set()
    stage.wait_for("awaiting_approval", live)
    stage.here.supervisor.drain(0)
    stage.steer("right")
    stage.answer(stage.there)
    stage.wait_for("finished", live)
    assert stage.asking.let_in == ["left", "right"]


def test_the_numbers_of_an_adopter_are_its_own(stage: Stage) -> None:
    """They are reserved before it shows the first, and the process before shows none any more."""
    live = stage.ask()
    seen = live.log.next_number
    stage.here.supervisor.drain(0)
    live.log.publish([b"a late title"], live.end)
    assert live.log.next_number == seen
    reserved: list[int] = []

    def look() -> None:
        reserved.append(stage.store.sessions.next_event(stage.session))

    stage.asking.before_letting_in = look
    stage.answer(stage.there)
    stage.wait_for("finished", live)
    assert reserved == [seen + RESERVED_NUMBERS]
    segments = stage.store.events.read(stage.session, 0)
    assert [first for segment in segments for first in range(segment.first, segment.last + 1)] == list(
        range(1, stage.store.sessions.next_event(stage.session))
    )


def test_a_run_that_has_lost_its_session_publishes_nothing_more(stage: Stage) -> None:
    live = stage.ask()
    seen = live.log.next_number
    live.lose()
    live.log.publish([b"a late title"], live.end)
    assert live.finished.wait(PATIENCE)
    assert live.log.next_number <= seen + 2, "its own last words"


def test_an_answer_for_which_there_is_no_thread_changes_nothing_and_can_be_given_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = stage.ask()
    stage.here.supervisor.drain(0)
    stage.there.services.ensure_running()
    before = all_rows(stage.store.database)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", _no_thread)
        with pytest.raises(ServerFull):
            stage.answer(stage.there)
    assert all_rows(stage.store.database) == before
    assert not stage.there.locks.held()
    stage.answer(stage.there)
    stage.wait_for("finished", live)


def test_a_stop_that_no_process_has_heeded_yet_stops_the_adopter_before_it_works(stage: Stage) -> None:
    live = stage.ask()
    stage.here.supervisor.drain(0)
    with stage.store.database.writing() as connection:
        connection.exec_driver_sql("UPDATE runs SET stop_requested = 'ann'")
    stage.answer(stage.there)
    eventually(lambda: not stage.store.runs.get(live.run.id).live, "the run has ended")
    assert stage.store.runs.get(live.run.id).stopped_by == "ann"


def _no_thread(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")
