"""A reader that can't reach the database waits for it, looks seldom, gives up at last; nothing ends with it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from app.errors import StoreUnavailable
from app.runtime.streams import event_reader
from app.runtime.streams.event_log import EndMark
from app.runtime.streams.event_reader import LOOK_SECONDS, READER_PATIENCE, EventReader, RunEnd
from app.runtime.streams.recent_events import KEEP_EVENTS
from app.store.event_segments import Segment
from app.store.store import Store
from tests.harness.process import eventually
from tests.runtime.conftest import Manage
from tests.runtime.faults import Faults
from tests.runtime.live import numbers
from tests.runtime.loops import PATIENCE, OneLoop, Patient, read_to_end, readers_of, say
from tests.runtime.test_event_reader import Stage
from tests.store.actors import new_session

ALWAYS = 10**9


@pytest.fixture
def stage(store: Store) -> Stage:
    return Stage(store)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock of readers, moved by their own pauses and by nothing else: how long each one was."""
    found: list[float] = []

    class Pause(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            found.append(timeout or 0.0)
            return self.is_set()

    class Clock:
        @staticmethod
        def monotonic() -> float:
            return sum(found)

    monkeypatch.setattr(event_reader, "Event", Pause)
    monkeypatch.setattr(event_reader, "time", Clock)
    return found


def _behind(stage: Stage) -> EventReader:
    """A reader whose next event is in the store only."""
    stage.publish(KEEP_EVENTS + 100, EndMark("r"))
    stage.write()
    return stage.reader(0)


def test_a_database_that_is_away_is_silence_until_it_is_back(stage: Stage, pauses: list[float]) -> None:
    reader = _behind(stage)
    Faults(stage.store).inject("events.read", StoreUnavailable(), times=4)
    assert reader.next(1.0) == b""
    assert (reader.can_be_carried, reader.at_end) == (False, False)
    assert numbers(reader.next(15.0)) == list(range(1, KEEP_EVENTS + 101))
    assert (reader.can_be_carried, reader.gave_up) == (True, False)


def test_a_reader_gives_up_after_its_patience_and_has_looked_twice_a_second_at_most(
    stage: Stage, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = _behind(stage)
    looks = 0

    def away(*_: object) -> list[Segment]:
        nonlocal looks
        looks += 1
        raise StoreUnavailable

    monkeypatch.setattr(stage.store.events, "read", away)
    silences = 0
    while reader.next(15.0) is not None:
        silences += 1
    assert silences == READER_PATIENCE / 15.0
    assert looks <= sum(pauses) / LOOK_SECONDS + 2
    assert reader.gave_up
    assert reader.at_end


def test_patience_is_for_one_absence_at_a_time(
    stage: Stage, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    end = EndMark("r", elsewhere=True)
    answers = iter([StoreUnavailable(), None] * 200)

    def find_end() -> RunEnd | None:
        answer = next(answers)
        if isinstance(answer, StoreUnavailable):
            raise answer
        return answer

    monkeypatch.setattr(stage.log, "read", lambda *_, **__: pauses.append(0.5))
    reader = EventReader(stage.log, stage.logs, stage.store.events, after=0, end=end, find_end=find_end)
    for _ in range(20):
        assert reader.next(15.0) == b""
    assert not reader.gave_up


def test_an_interrupted_reader_does_not_wait_for_the_database(stage: Stage) -> None:
    reader = _behind(stage)
    Faults(stage.store).inject("events.read", StoreUnavailable(), times=ALWAYS)
    got: list[bytes | None] = []
    thread = threading.Thread(target=lambda: got.append(reader.next(100 * PATIENCE)))
    thread.start()
    eventually(lambda: not reader.can_be_carried, "it waits for the database")
    reader.interrupt()
    thread.join(PATIENCE)
    assert got == [None]


def test_an_end_that_is_known_before_its_events_are_here_is_read_from_the_store_at_once(stage: Stage) -> None:
    looks: list[RunEnd] = []

    def find_end() -> RunEnd:
        looks.append(RunEnd(2))
        return looks[-1]

    reader = EventReader(
        stage.log,
        stage.logs,
        stage.store.events,
        after=0,
        end=EndMark("r", elsewhere=True),
        find_end=find_end,
    )
    stage.keep(Segment(stage.session_id, "r", 1, 2, b"id: 1\ndata: {}\n\nid: 2\ndata: {}\n\n"))
    assert numbers(reader.next(PATIENCE)) == [1, 2]
    assert reader.next(PATIENCE) is None
    assert len(looks) == 1


@pytest.mark.parametrize("place", ["runs.get", "events.newest", "events.read"])
def test_a_reader_of_another_processs_run_misses_nothing_of_a_database_that_was_away(
    store: Store, manage: Manage, place: str
) -> None:
    patient = Patient()
    here, there = manage(OneLoop(patient.loop)), manage(OneLoop(patient.loop))
    live = say(here, new_session(store).id)
    assert patient.entered.wait(PATIENCE)
    reader = readers_of(store, there).of_past_run(store.runs.get(live.run.id))
    Faults(store).inject(place, StoreUnavailable(), times=3)
    patient.let_go()
    assert live.finished.wait(PATIENCE)
    seen: list[int] = []
    for piece in _pieces(reader):
        seen += numbers(piece)
    assert seen == [1, 2]
    reader.close()


def _pieces(reader: EventReader) -> Iterator[bytes]:
    while (piece := reader.next(PATIENCE)) is not None:
        yield piece


def test_a_snapshot_is_refused_and_not_guessed_while_the_events_cant_be_read(
    store: Store, manage: Manage
) -> None:
    patient = Patient()
    runtime = manage(OneLoop(patient.loop))
    live = say(runtime, new_session(store).id)
    assert patient.entered.wait(PATIENCE)
    eventually(lambda: store.events.bounds(live.run.session_id) == (1, 1), "its first event is written")
    readers = readers_of(store, manage(OneLoop(patient.loop)))
    assert readers.whole_until(live.run.session_id) == 1
    Faults(store).inject("events.read", StoreUnavailable(), times=ALWAYS)
    with pytest.raises(StoreUnavailable):
        readers.whole_until(live.run.session_id)
    patient.let_go()
    assert read_to_end(readers_of(store, runtime).of_run(live))
