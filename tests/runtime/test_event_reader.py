"""A reader misses nothing and gets nothing twice, wherever it begins and whatever the log has forgotten."""

from __future__ import annotations

import threading
import uuid

import pytest

from app.conversation.session import Session
from app.runtime.streams.event_log import EndMark, EventLog, EventLogs
from app.runtime.streams.event_reader import Behind, EventReader, RunEnd
from app.runtime.streams.recent_events import KEEP_EVENTS
from app.store.event_segments import Segment, write_segments
from app.store.store import Store
from tests.runtime.live import end_run, numbers

PATIENCE = 20.0


class Stage:
    """A session's log, the store behind it, and readers of both."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.session_id = uuid.uuid4().hex
        store.sessions.create(Session(self.session_id, 1.0))
        self.logs = EventLogs()
        self.log: EventLog = self.logs.open(self.session_id, 1)

    def publish(self, count: int, end: EndMark) -> None:
        first = self.log.next_number
        self.log.publish([b'{"n":%d}' % (first + index) for index in range(count)], end)

    def write(self, run_id: str = "r") -> None:
        segment = self.log.unwritten(run_id)
        if segment is not None:
            self.keep(segment)
            self.log.mark_written(segment.last)

    def keep(self, segment: Segment) -> None:
        with self.store.database.writing() as connection:
            write_segments(connection, [segment])

    def reader(self, after: int, end: EndMark | None = None) -> EventReader:
        return EventReader(
            self.logs.open(self.session_id, 1), self.logs, self.store.events, after=after, end=end
        )


@pytest.fixture
def stage(store: Store) -> Stage:
    return Stage(store)


def read_available(reader: EventReader) -> bytes:
    """Everything there is at this moment."""
    pieces = []
    while piece := reader.next(0):
        pieces.append(piece)
    reader.close()
    return b"".join(pieces)


def test_a_reader_that_comes_late_sees_the_bytes_that_a_live_one_saw(stage: Stage) -> None:
    end = EndMark("r")
    live, live_bytes = stage.reader(0), b""
    for count in (1, KEEP_EVENTS, 3, KEEP_EVENTS, 700):
        stage.publish(count, end)
        while piece := live.next(0):
            live_bytes += piece
        stage.write()
    total = stage.log.next_number - 1
    assert numbers(live_bytes) == list(range(1, total + 1))
    assert read_available(stage.reader(0)) == live_bytes
    for after in (1, 2, 100, KEEP_EVENTS, KEEP_EVENTS + 3, total - 1, total):
        assert numbers(read_available(stage.reader(after))) == list(range(after + 1, total + 1))


def test_a_reader_of_a_run_ends_with_the_run_though_the_next_one_has_begun(stage: Stage) -> None:
    first, second = EndMark("r1"), EndMark("r2")
    stage.publish(3, first)
    slow, quick = stage.reader(0, first), stage.reader(0, first)
    assert numbers(quick.next(0)) == [1, 2, 3]
    end_run(stage.log, first)
    stage.publish(2, second)
    assert numbers(slow.next(PATIENCE)) == [1, 2, 3, 4]
    assert numbers(quick.next(PATIENCE)) == [4]
    for reader in (slow, quick):
        assert reader.at_end
        assert reader.next(PATIENCE) is None


def test_a_reader_of_a_run_that_is_only_in_the_store_ends_with_it_too(stage: Stage) -> None:
    first, second = EndMark("r1"), EndMark("r2")
    reader = stage.reader(0, first)
    stage.publish(3, first)
    end_run(stage.log, first)
    stage.write("r1")
    stage.publish(KEEP_EVENTS + 10, second)
    stage.write("r2")
    assert numbers(read_available(reader)) == [1, 2, 3, 4]


def test_what_is_gone_is_named_by_one_gap_that_moves_no_cursor(stage: Stage) -> None:
    end = EndMark("r")
    stage.publish(100, end)
    stage.write()
    stage.publish(KEEP_EVENTS + 10, end)
    stage.write()
    stage.store.events.prune(older_than_seconds=10**6, keep_events=KEEP_EVENTS + 10, at_work_within=None)
    reader = stage.reader(40)
    gap = reader.next(0)
    assert gap is not None
    assert gap.startswith(b'data: {"type":"gap"')
    assert b'"first_available":101,' in gap
    assert numbers(gap) == []
    assert numbers(read_available(reader)) == list(range(101, KEEP_EVENTS + 111))


def test_a_hole_in_the_store_is_a_gap_and_not_the_end(stage: Stage) -> None:
    for first, last in ((1, 2), (5, 6)):
        frames = b"".join(b"id: %d\ndata: {}\n\n" % number for number in range(first, last + 1))
        stage.keep(Segment(stage.session_id, "r", first, last, frames))
    stage.log.continue_at(9)
    stage.publish(1, EndMark("r"))
    reader = stage.reader(0)
    assert numbers(reader.next(0)) == [1, 2]
    assert b'"first_available":5,' in (reader.next(0) or b"")
    assert numbers(reader.next(0)) == [5, 6]
    assert b'"first_available":9,' in (reader.next(0) or b"")
    assert numbers(read_available(reader)) == [9]


def test_taking_without_waiting_says_when_the_store_has_to_be_asked(stage: Stage) -> None:
    end = EndMark("r")
    reader = stage.reader(0, end)
    assert reader.take() == b""
    stage.publish(KEEP_EVENTS + 5, end)
    stage.write()
    with pytest.raises(Behind):
        reader.take()
    assert numbers(reader.next(0)) == list(range(1, KEEP_EVENTS + 6))
    end_run(stage.log, end)
    assert numbers(reader.take()) == [KEEP_EVENTS + 6]
    assert reader.take() is None


def test_silence_is_an_empty_piece_and_an_interrupted_reader_ends_at_once(stage: Stage) -> None:
    reader = stage.reader(0)
    assert reader.next(0) == b""
    got: list[bytes | None] = []
    thread = threading.Thread(target=lambda: got.append(reader.next(PATIENCE)))
    thread.start()
    reader.interrupt()
    thread.join(PATIENCE)
    assert got[0] in (None, b"")
    assert reader.next(PATIENCE) is None


def test_a_deleted_sessions_readers_read_what_there_is_and_end(stage: Stage) -> None:
    reader = stage.reader(0)
    stage.publish(2, EndMark("r"))
    stage.logs.close(stage.session_id)
    assert numbers(reader.next(PATIENCE)) == [1, 2]
    assert reader.next(PATIENCE) is None


def test_a_reader_who_comes_when_the_run_has_let_go_still_reads_its_log(stage: Stage) -> None:
    end = EndMark("r")
    stage.publish(2, end)
    end_run(stage.log, end)
    stage.logs.release(stage.log)
    assert stage.logs.find(stage.session_id) is None
    for newer in (False, True):
        if newer:
            assert stage.logs.open(stage.session_id, 4) is not stage.log
        stage.logs.hold(stage.log)
        reader = EventReader(stage.log, stage.logs, stage.store.events, after=0, end=end)
        assert numbers(read_available(reader)) == [1, 2, 3]
    assert stage.logs.find(stage.session_id) is not stage.log


def test_a_log_nobody_uses_is_forgotten(stage: Stage) -> None:
    reader = stage.reader(0)
    stage.logs.release(stage.log)
    assert stage.logs.find(stage.session_id) is stage.log
    reader.close()
    reader.close()
    assert stage.logs.find(stage.session_id) is None


def test_a_run_of_another_process_is_read_until_its_end_is_found(stage: Stage) -> None:
    end, ends = EndMark("r", elsewhere=True), iter([None, RunEnd(2)])
    reader = EventReader(
        stage.log, stage.logs, stage.store.events, after=0, end=end, find_end=lambda: next(ends)
    )
    stage.log.receive(Segment(stage.session_id, "r", 1, 2, b"id: 1\ndata: {}\n\nid: 2\ndata: {}\n\n"))
    assert numbers(reader.next(PATIENCE)) == [1, 2]
    assert reader.next(PATIENCE) is None
