"""The memory of a session's log is bounded, by count and by bytes, whoever sends the events."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.runtime.streams.event_log import EndMark, EventLog
from app.runtime.streams.recent_events import KEEP_BYTES, KEEP_EVENTS, MAX_SLICE_BYTES, RecentEvents
from app.sse_format import numbered
from app.store.event_segments import Segment, write_segments
from app.store.store import Store
from tests.harness.process import eventually
from tests.runtime.conftest import Manage
from tests.runtime.live import numbers
from tests.runtime.loops import PATIENCE, OneLoop, idle, readers_of
from tests.store.actors import new_session

LARGEST = 60_000
PIECE = 50


def _send(log: EventLog, payload: bytes) -> None:
    """As a run of this process does: published, then written."""
    log.publish([payload] * PIECE, EndMark("r"))
    log.mark_written(log.next_number - 1)


def _receive(log: EventLog, payload: bytes) -> None:
    """As another process's events come."""
    first = log.next_number
    frames = b"".join(numbered(first, [payload] * PIECE))
    log.receive(Segment("s", f"run-{first % 3}", first, first + PIECE - 1, frames))


@pytest.mark.parametrize("bring", [_send, _receive])
@pytest.mark.parametrize(("size", "count"), [(20, 20_000), (LARGEST, 1_000)])
def test_a_log_keeps_a_bounded_part_of_what_is_in_the_store(
    bring: Callable[[EventLog, bytes], None], size: int, count: int
) -> None:
    log = EventLog("s", 1)
    while log.next_number <= count:
        bring(log, b"x" * size)
        assert log.next_number - log.first_number <= KEEP_EVENTS
        assert log.size <= KEEP_BYTES
    assert log.next_number == count + 1
    piece = log.read(0, 0)
    assert piece is not None
    assert piece.first == log.first_number
    assert log.size == sum(map(len, log._events.since(log.first_number)))
    assert len(log._events._runs) <= KEEP_EVENTS // PIECE + 2


def test_what_is_not_written_yet_is_kept_however_much_it_is() -> None:
    log = EventLog("s", 1)
    log.publish([b"x" * LARGEST] * 100, EndMark("r"))
    log.mark_written(10)
    assert log.first_number == 11
    segment = log.unwritten("r")
    assert segment is not None
    assert (segment.first, segment.last) == (11, 100)


def test_a_reader_is_given_bounded_pieces_and_an_event_that_is_larger_by_itself() -> None:
    log, end = EventLog("s", 1), EndMark("r")
    log.publish([b"x" * LARGEST] * 20 + [b"x" * 2 * MAX_SLICE_BYTES] + [b"{}"], end)
    seen: list[int] = []
    while piece := log.read(seen[-1] if seen else 0, 0, end):
        found = numbers(piece.frames)
        assert len(piece.frames) <= MAX_SLICE_BYTES or len(found) == 1
        seen += found
    assert seen == list(range(1, 23))


def test_sizes_and_runs_are_right_whatever_is_taken_back_or_replaced() -> None:
    events = RecentEvents(1)
    events.extend([b"one", b"two"], "a")
    events.extend([b"three", b"four"], "b")
    events.replace(4, [b"4"])
    events.replace(4, [b"too", b"many"])
    events.replace(0, [b"gone"])
    assert events.size == len(b"onetwothree4")
    events.drop_from(4)
    events.extend([b"five"], "c")
    assert events.size == len(b"onetwothreefive")
    for run, first, last in (("a", 1, 2), ("b", 3, 3), ("c", 4, 4)):
        piece = events.slice(first, 5, run)
        assert (piece.first, piece.last) == (first, last)
    events.restart_at(100)
    assert (events.first, events.next_number, events.size) == (100, 100, 0)


def test_a_process_that_follows_twenty_thousand_events_of_another_one_keeps_few_and_misses_none(
    store: Store, manage: Manage
) -> None:
    session_id = new_session(store).id
    reader = readers_of(store, manage(OneLoop(idle))).of_session(session_id, 0)
    seen: list[int] = []
    for first in range(1, 20_000, 500):
        frames = b"".join(numbered(first, [b"x" * 1000] * 500))
        with store.database.writing() as connection:
            write_segments(connection, [Segment(session_id, f"run-{first}", first, first + 499, frames)])
        if first % 5000 == 1:  # else it falls behind what is kept
            while not seen or seen[-1] < first + 499:
                seen += numbers(reader.next(PATIENCE))
            assert reader._log.next_number - reader._log.first_number <= KEEP_EVENTS
            assert reader._log.size <= KEEP_BYTES
    while seen[-1] < 20_000:
        seen += numbers(reader.next(PATIENCE))
    assert seen == list(range(1, 20_001))
    eventually(lambda: reader._log.next_number == 20_001, "it has followed to the end")
    assert reader._log.size <= KEEP_BYTES
    reader.close()
