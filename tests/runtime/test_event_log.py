"""The log of a session's events: numbered, complete, and shown in order however runs follow each other."""

from __future__ import annotations

import threading

from app.runtime.streams.event_log import EndMark, EventLog
from app.runtime.streams.recent_events import KEEP_EVENTS, MAX_SLICE
from app.store.event_segments import Segment
from tests.runtime.live import end_run, numbers

PATIENCE = 20.0


def _read(log: EventLog, after: int, end: EndMark | None = None) -> list[int]:
    piece = log.read(after, 0, end)
    return numbers(piece.frames) if piece else []


def test_events_are_numbered_framed_and_handed_out_as_one_piece() -> None:
    log, end = EventLog("s", 7), EndMark()
    log.publish([b'{"a":1}', b'{"b":2}'], end)
    piece = log.read(6, 0)
    assert piece is not None
    assert piece.frames == b'id: 7\ndata: {"a":1}\n\nid: 8\ndata: {"b":2}\n\n'
    assert (piece.first, piece.last, log.last_number, log.next_number) == (7, 8, 8, 9)
    assert log.read(8, 0) is None


def test_a_run_that_ends_is_seen_to_end_only_when_it_is_shown() -> None:
    log, end = EventLog("s", 1), EndMark()
    log.publish([b"{}"], end)
    log.seal([b"{}", b"{}"], end)
    assert _read(log, 0, end) == [1]
    assert _read(log, 1, end) == []
    segment = log.unwritten("r")
    assert segment is not None
    assert numbers(segment.facts) == [1, 2, 3]
    log.publish([b'"too late"'], end)
    log.show_end(end, 3)
    assert _read(log, 1, end) == [2, 3]
    assert log.next_number == 4


def test_a_run_that_begins_while_the_one_before_ends_is_hidden_until_that_has_ended() -> None:
    log, first, second = EventLog("s", 1), EndMark("r1"), EndMark("r2")
    log.publish([b"{}"], first)
    log.seal([b"{}"], first)
    log.publish([b"{}"], second)
    assert _read(log, 0) == [1]
    log.show_end(first, 2)
    assert _read(log, 0) == [1, 2, 3]
    assert _read(log, 0, first) == [1, 2]


def test_a_run_that_even_ends_while_the_one_before_ends_shows_nothing_too_early() -> None:
    log, first, second = EventLog("s", 1), EndMark("r1"), EndMark("r2")
    log.seal([b"{}"], first)
    log.publish([b"{}"], second)
    log.seal([b"{}"], second)
    assert _read(log, 0) == []
    log.show_end(first, 1)
    assert _read(log, 0) == [1, 2]
    log.show_end(second, 3)
    assert _read(log, 0) == [1, 2, 3]

    log, first, second = EventLog("s", 1), EndMark("r1"), EndMark("r2")
    log.seal([b"{}"], first)
    log.seal([b"{}"], second)
    log.show_end(second, 2)
    assert _read(log, 0) == []
    log.show_end(first, 1)
    assert _read(log, 0) == [1, 2]


def test_a_late_reader_of_a_run_gets_nothing_of_the_next_one() -> None:
    log, first, second = EventLog("s", 1), EndMark("r1"), EndMark("r2")
    log.publish([b"{}"], first)
    end_run(log, first)
    log.publish([b"{}"] * 3, second)
    assert _read(log, 0, first) == [1, 2]
    assert _read(log, 2, second) == [3, 4, 5]


def test_a_reader_of_one_run_is_told_where_another_ones_events_begin() -> None:
    log, first, second = EventLog("s", 1), EndMark("r1"), EndMark("r2")
    log.publish([b"{}"], first)
    log.publish([b"{}"] * 2, second)
    log.receive(Segment("s", "r1", 4, 4, b"id: 4\ndata: {}\n\n"))
    assert _read(log, 0) == [1, 2, 3, 4]
    assert (_read(log, 0, first), _read(log, 1, second)) == ([1], [2, 3])
    for after, end, over in ((0, first, False), (1, first, True), (0, second, True), (3, second, True)):
        piece = log.read(after, 0, end)
        assert piece is not None
        assert (piece.over, piece.first) == (over, after + 1)
        assert bool(piece.frames) is not over


def test_an_end_that_could_not_be_stored_is_shown_but_moves_no_cursor() -> None:
    log, end = EventLog("s", 1), EndMark()
    log.publish([b"{}"], end)
    log.seal([b'"x"', b'"y"'], end)
    log.unnumber(3, [b'"x"', b'"y"'])
    log.show_end(end, 3)
    piece = log.read(0, 0, end)
    assert piece is not None
    assert piece.frames == b'id: 1\ndata: {}\n\ndata: "x"\n\ndata: "y"\n\n'
    assert piece.last == 3
    log.publish([b"{}"], EndMark("next"))
    log.renumber(3, [b'"x"', b'"y"'])
    assert _read(log, 0) == [1, 2, 3, 4]
    segment = log.unwritten("next")
    assert segment is not None
    assert segment.first == 4


def test_only_what_is_written_may_be_forgotten_and_only_beyond_the_bound() -> None:
    log, end = EventLog("s", 1), EndMark()
    log.publish([b"{}"] * (KEEP_EVENTS + 100), end)
    log.mark_written(30)
    assert _read(log, 0)[0] == 31
    log.mark_written(KEEP_EVENTS + 100)
    assert _read(log, 0)[0] == 101
    assert log.next_number == KEEP_EVENTS + 101
    assert log.unwritten("r") is None
    log.mark_written(5)
    log.publish([b"{}"], end)
    segment = log.unwritten("r")
    assert segment is not None
    assert (segment.first, segment.last) == (KEEP_EVENTS + 101, KEEP_EVENTS + 101)


def test_a_slow_reader_gets_everything_in_bounded_pieces() -> None:
    log, end = EventLog("s", 1), EndMark()
    log.publish([b"{}"] * (2 * MAX_SLICE + 1), end)
    got: list[int] = []
    while piece := log.read(got[-1] if got else 0, 0):
        assert len(numbers(piece.frames)) <= MAX_SLICE
        got += numbers(piece.frames)
    assert got == list(range(1, 2 * MAX_SLICE + 2))


def test_a_writer_wakes_a_reader_that_waits_and_nobody_if_none_does() -> None:
    log, end = EventLog("s", 1), EndMark()
    got: list[list[int]] = []
    waits = threading.Event()

    def read() -> None:
        waits.set()
        piece = log.read(0, PATIENCE)
        got.append(numbers(piece.frames if piece else b""))

    log.publish([], end)
    thread = threading.Thread(target=read)
    thread.start()
    assert waits.wait(PATIENCE)
    log.publish([b"{}"], end)
    thread.join(PATIENCE)
    assert got == [[1]]


def test_a_reader_that_gave_up_before_it_waits_does_not_wait() -> None:
    log = EventLog("s", 1)
    thread = threading.Thread(target=lambda: log.read(0, 10 * PATIENCE, gave_up=lambda: True), daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_many_readers_see_the_same_bytes_while_runs_come_and_go() -> None:
    log = EventLog("s", 1)
    seen: list[bytes] = [b""] * 4

    def read(index: int) -> None:
        after = 0
        while after < 600:
            piece = log.read(after, PATIENCE)
            assert piece is not None
            assert piece.first == after + 1
            seen[index] += piece.frames
            after = piece.last

    threads = [threading.Thread(target=read, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for number in range(100):
        end = EndMark()
        for _ in range(5):
            log.publish([b"%d" % number], end)
        end_run(log, end)
    for thread in threads:
        thread.join(PATIENCE)
    assert numbers(seen[0]) == list(range(1, 601))
    assert len(set(seen)) == 1


def test_what_another_process_has_sent_is_taken_in_once() -> None:
    log = EventLog("s", 4)
    frames = b"".join(b"id: %d\ndata: {}\n\n" % number for number in range(3, 7))
    segment = Segment("s", "r", 3, 6, frames)
    log.receive(segment)
    log.receive(segment)
    assert _read(log, 3) == [4, 5, 6]
    log.receive(Segment("s", "r", 10, 10, b"id: 10\ndata: {}\n\n"))
    assert _read(log, 3) == [10]
    assert log.unwritten("r") is None


def test_numbers_that_another_process_used_are_not_used_again() -> None:
    log, end = EventLog("s", 1), EndMark()
    log.publish([b"{}"], end)
    log.mark_written(1)
    log.continue_at(2)
    assert _read(log, 0) == [1]
    log.continue_at(50)
    log.publish([b"{}"], end)
    assert _read(log, 0) == [50]


def test_a_closed_log_ends_its_readers_and_listeners_hear_of_everything() -> None:
    log, end = EventLog("s", 1), EndMark()
    heard: list[int] = []

    def hear() -> None:
        heard.append(log.next_number)

    log.listen(hear)
    log.publish([b"{}"], end)
    log.seal([b"{}"], end)
    log.show_end(end, 2)
    log.close()
    log.ignore(hear)
    log.wake()
    assert heard == [2, 3, 3]
    assert log.closed
    assert _read(log, 0) == [1, 2]
    assert log.read(2, PATIENCE) is None


def test_a_sessions_last_words_are_for_every_reader_whose_run_has_not_ended() -> None:
    for ends in (False, True):
        log, end = EventLog("s", 1), EndMark("r")
        log.publish([b"{}"], end)
        if ends:
            end_run(log, end)
        log.close([b'"gone"'])
        everything, own = log.read(0, 0), log.read(0, 0, end)
        assert everything is not None
        assert own is not None
        assert b'"gone"' in everything.frames
        assert (b'"gone"' in own.frames) is not ends


def test_an_end_that_is_taken_back_takes_nothing_else_with_it() -> None:
    log, end = EventLog("s", 1), EndMark("r")
    log.publish([b"{}"], end)
    log.seal([b'"end"'], end)
    log.close([b'"gone"'])
    log.unseal(end)
    log.leave(end)
    piece = log.read(0, 0)
    assert piece is not None
    assert b'"end"' not in piece.frames
    assert b'"gone"' in piece.frames


def test_a_condensed_segment_of_another_process_is_taken_apart_again() -> None:
    """A reader's cursor is a number of one event, wherever it has read it."""
    said = b'{"type":"agent_choice","content":"%b","timestamp":"t"%b}'
    log = EventLog("s", 1)
    condensed = b"id: 3\ndata: " + said % (b"abc", b',"lengths":[1,1,1]') + b"\n\n"
    log.receive(Segment("s", "r", 1, 3, condensed))
    piece = log.read(1, 0)
    assert piece is not None
    assert piece.frames == b"".join(
        b"id: %d\ndata: %b\n\n" % (number, said % (text, b"")) for number, text in ((2, b"b"), (3, b"c"))
    )


def test_events_that_were_left_out_of_a_condensed_segment_move_the_numbers_on() -> None:
    log = EventLog("s", 1)
    log.receive(Segment("s", "r", 1, 5, b"id: 1\ndata: {}\n\nid: 4\ndata: {}\n\n"))
    assert log.next_number == 6
    log.receive(Segment("s", "r", 6, 6, b"id: 6\ndata: {}\n\n"))
    assert _read(log, 5) == [6]
