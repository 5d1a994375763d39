"""A stream of one run ends with that run, however it is read and whatever comes after it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import pytest

from app.agent.loop_steps import Ask, Steps
from app.agent.resumption import Resumption
from app.conversation.events import AgentChoice, MaxIterationsReached, StreamStarted
from app.conversation.run import Answer, Owner, Question
from app.conversation.session import Session
from app.conversation.transcript import Message
from app.runtime.live_run import LiveRun
from app.runtime.runtime import Runtime
from app.runtime.streams.event_reader import EventReader, RunEnd
from app.store.store import Store
from tests.harness.process import eventually
from tests.runtime.conftest import Manage
from tests.runtime.live import numbers
from tests.runtime.loops import PATIENCE, OneLoop, Patient, control_of, idle, read_to_end, readers_of, say
from tests.store.actors import everybody_is_gone, new_session, seeing

ELSEWHERE = Owner("elsewhere", "boot", 77, "1")


class Scene:
    """A run that works in `here` until the test ends it, a second process, and readers of the run."""

    def __init__(self, store: Store, manage: Manage) -> None:
        self.store = store
        self.work = Patient()
        self._planner = OneLoop(self.work.loop)
        self.here = manage(self._planner)
        self.there = manage(OneLoop(idle), owner=ELSEWHERE)
        self.session_id = new_session(store).id
        self.next_run(self.here)
        self._planner.loop = self.work.loop
        self.live: LiveRun = say(self.here, self.session_id)
        assert self.work.entered.wait(PATIENCE)

    def end(self) -> None:
        self.work.let_go()
        assert self.live.finished.wait(PATIENCE)

    def next_run(self, runtime: Runtime) -> None:
        """One that begins and ends."""
        self._planner.loop = idle
        assert say(runtime, self.session_id, "another one").finished.wait(PATIENCE)

    def expected(self) -> bytes:
        """The run's own events, as they are stored."""
        segments = self.store.events.read(self.session_id, 0)
        return b"".join(one.facts for one in segments if one.run_id == self.live.run.id)


Way = Callable[[Scene], EventReader]
"""Opens a reader while the run is at work."""


def own(scene: Scene) -> EventReader:
    return readers_of(scene.store, scene.here).of_run(scene.live)


def retried(scene: Scene) -> EventReader:
    """The row was read while the run was at work; its process has let go of it before it was looked for."""
    return readers_of(scene.store, scene.here).of_past_run(scene.store.runs.get(scene.live.run.id))


def elsewhere(scene: Scene) -> EventReader:
    return readers_of(scene.store, scene.there).of_past_run(scene.store.runs.get(scene.live.run.id))


WAYS = [own, retried, elsewhere]


def _nothing_follows(scene: Scene) -> None:
    pass


def _next_here(scene: Scene) -> None:
    scene.next_run(scene.here)


def _next_there(scene: Scene) -> None:
    scene.next_run(scene.there)


def _many_follow(scene: Scene) -> None:
    for _ in range(3):
        scene.next_run(scene.here)
        scene.next_run(scene.there)


@pytest.fixture
def scene(store: Store, manage: Manage) -> Scene:
    return Scene(store, manage)


@pytest.mark.parametrize("follows", [_nothing_follows, _next_here, _next_there, _many_follow])
@pytest.mark.parametrize("caught_up", [False, True], ids=["behind", "caught up"])
@pytest.mark.parametrize("way", WAYS)
def test_a_reader_that_came_while_the_run_worked_ends_with_it(
    scene: Scene, way: Way, caught_up: bool, follows: Callable[[Scene], None]
) -> None:
    reader = way(scene)
    seen = b""
    while caught_up and b"stream_started" not in seen:
        seen += reader.next(PATIENCE) or b""
    scene.end()
    follows(scene)
    seen += read_to_end(reader)
    assert seen == scene.expected()
    assert seen.count(b'"stream_stopped"') == 1


@pytest.mark.parametrize("follows", [_nothing_follows, _next_here, _next_there, _many_follow])
@pytest.mark.parametrize("way", WAYS)
def test_a_reader_that_comes_when_the_run_is_over_ends_with_it(
    scene: Scene, way: Way, follows: Callable[[Scene], None]
) -> None:
    scene.end()
    follows(scene)
    assert read_to_end(way(scene)) == scene.expected()


@pytest.mark.parametrize("way", WAYS)
def test_a_run_that_ends_and_is_followed_between_two_looks_of_its_reader(scene: Scene, way: Way) -> None:
    """The log is silent; before the row is asked for the end, the run ends and the next one is over too."""
    reader = way(scene)
    seen = b""
    while b"stream_started" not in seen:
        seen += reader.next(PATIENCE) or b""
    look = reader._find_end

    def look_late() -> RunEnd | None:
        if not scene.live.finished.is_set():
            scene.end()
            _many_follow(scene)
        return look()

    if reader.follows_another_process:
        reader._find_end = look_late
    else:
        look_late()
    assert seen + read_to_end(reader) == scene.expected()
    assert scene.live.finished.is_set()


@pytest.mark.parametrize("follows", [_nothing_follows, _next_there])
@pytest.mark.parametrize("way", WAYS)
def test_readers_of_a_run_that_another_process_has_closed_are_told_its_end_once(
    scene: Scene, way: Way, follows: Callable[[Scene], None]
) -> None:
    reader = way(scene)
    whole = readers_of(scene.store, scene.here).of_session(scene.session_id, scene.live.first_event - 1)
    control_of(scene.store, scene.there).release(scene.live.run.id, by="ann", reason="it hangs")
    follows(scene)
    scene.end()
    stream = read_to_end(reader)
    assert stream.count(b'"stream_stopped"') == 1
    assert b"it hangs" in stream
    assert numbers(stream)[-1] == scene.store.runs.get(scene.live.run.id).last_event
    ends = 1 + len(scene.store.runs.recent(session_id=scene.session_id)) - 2
    seen = b""
    while seen.count(b'"stream_stopped"') < ends:
        piece = whole.next(PATIENCE)
        assert piece is not None
        seen += piece
    assert b"stream_stopped" not in (whole.next(0) or b"")
    whole.close()


@pytest.mark.parametrize("way", WAYS)
def test_readers_of_a_run_without_last_words_are_told_its_end_all_the_same(scene: Scene, way: Way) -> None:
    reader = way(scene)
    eventually(
        lambda: scene.store.events.last_of(scene.session_id, scene.live.run.id) is not None, "it is stored"
    )
    scene.store.runs.finish(scene.live.baton, "failed", code="internal")
    scene.work.let_go()
    assert scene.live.finished.wait(PATIENCE)
    scene.next_run(scene.there)
    stream = read_to_end(reader)
    assert stream.startswith(scene.expected())
    assert stream.count(b'"stream_stopped"') == 1
    assert numbers(stream) == numbers(scene.expected())  # events for this reader alone move no cursor


def test_a_run_whose_events_are_pruned_is_a_gap_and_an_end(scene: Scene) -> None:
    scene.end()
    for _ in range(5):
        scene.next_run(scene.there)
    scene.store.events.prune(older_than_seconds=10**6, keep_events=4)
    stream = read_to_end(elsewhere(scene))
    assert numbers(stream) == []
    assert stream.count(b'"gap"') == 1
    assert stream.count(b'"stream_stopped"') == 1
    assert stream.index(b'"gap"') < stream.index(b'"stream_stopped"')


class Asking:
    """A run that asks whether it may go on, and says so when it does."""

    def __init__(self) -> None:
        self.go_on = threading.Event()

    def loop(
        self, live: LiveRun, session: Session, rows: Sequence[Message], resumption: Resumption | None
    ) -> Steps:
        if resumption is None:
            yield StreamStarted(session_id=session.id)
            yield Ask(Question("max_iterations", session.id), MaxIterationsReached(max_iterations=1))
        assert self.go_on.wait(PATIENCE)
        yield AgentChoice(content="on we go", session_id=session.id)


@pytest.mark.parametrize("caught_up", [False, True], ids=["behind", "caught up"])
@pytest.mark.parametrize("reader_of", ["the first process", "the adopter", "its row"])
def test_readers_of_a_run_that_goes_on_in_another_process_go_on_with_it(
    store: Store, manage: Manage, reader_of: str, caught_up: bool
) -> None:
    asking = Asking()
    first = manage(OneLoop(asking.loop), owner=ELSEWHERE)
    adopter = manage(OneLoop(asking.loop), probe=everybody_is_gone)
    live = say(first, new_session(store).id)
    session_id, run_id = live.run.session_id, live.run.id
    eventually(lambda: store.runs.get(run_id).status == "awaiting_approval", "it has asked")
    eventually(lambda: store.events.bounds(session_id)[1] == 2, "its events are stored")
    reader = readers_of(store, first).of_run(live)
    seen = (reader.next(PATIENCE) or b"") if caught_up else b""
    control = control_of(seeing(store, everybody_is_gone), adopter)
    control.answer(session_id, Answer("approve"), kinds=("max_iterations",))
    adopted = adopter.runs.find(session_id)
    assert adopted is not None
    assert live.finished.wait(PATIENCE)  # the first process has noticed
    if reader_of != "the first process":
        reader.close()
        readers = readers_of(store, adopter)
        mine = reader_of == "the adopter"
        reader = readers.of_run(adopted) if mine else readers.of_past_run(store.runs.get(run_id))
        seen = (reader.next(PATIENCE) or b"") if caught_up else b""
    asking.go_on.set()
    assert adopted.finished.wait(PATIENCE)
    stream = seen + read_to_end(reader)
    own = [one for one in store.events.read(session_id, 0) if one.run_id == run_id]
    assert numbers(stream) == numbers(b"".join(one.facts for one in own))
    assert stream.count(b"on we go") == 1
    assert stream.count(b'"stream_stopped"') == 1
    assert b'"error"' not in stream
