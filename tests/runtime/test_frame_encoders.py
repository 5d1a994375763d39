"""The clients of another door, or of a later form, read the same facts through an encoder of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from app.conversation.event_facts import EventFact
from app.runtime.streams.event_log import EndMark, EventLog, EventLogs
from app.runtime.streams.event_reader import EventReader, RunEnd
from app.runtime.streams.frame_encoder import AS_WRITTEN, FrameEncoder
from app.runtime.streams.recent_events import KEEP_EVENTS, MAX_SLICE
from app.sse_format import any_event, numbered
from app.store.event_segments import Segment, write_segments
from app.store.store import Store
from tests.runtime.live import end_run, numbers
from tests.store.actors import new_session


class OtherForm:
    """`word 7` for the event with the number 7, and `?` for one without; not a line of server-sent events' ids."""

    def __init__(self) -> None:
        self.encoded: Counter[bytes] = Counter()

    def encode(self, fact: bytes) -> bytes:
        self.encoded[fact] += 1
        read = EventFact.read(fact)
        if read.type == "hidden":
            return b""
        assert read.fields["type"] == read.type
        return any_event(f"{read.type} {read.number or '?'}", name="other")


def other(*words: str) -> bytes:
    return b"".join(any_event(word, name="other") for word in words)


def body(kind: str = "word") -> bytes:
    return b'{"type":"%b"}' % kind.encode()


@pytest.fixture
def log(store: Store) -> Iterator[EventLog]:
    logs = EventLogs()
    log = logs.open(new_session(store).id, 1)
    yield log
    logs.release(log)


@pytest.fixture
def form() -> OtherForm:
    return OtherForm()


def reader_of(
    log: EventLog,
    store: Store,
    encoder: FrameEncoder,
    *,
    after: int = 0,
    end: EndMark | None = None,
    found: RunEnd | None = None,
) -> EventReader:
    logs = EventLogs()
    logs.hold(log)
    return EventReader(log, logs, store.events, after=after, end=end, find_end=lambda: found, encoder=encoder)


def keep(store: Store, log: EventLog) -> None:
    """Brings what is new to the store."""
    segment = log.unwritten("r")
    assert segment is not None
    with store.database.writing() as connection:
        write_segments(connection, [segment])
    log.mark_written(segment.last)


def test_two_forms_are_read_side_by_side_and_each_fact_is_encoded_once(
    log: EventLog, store: Store, form: OtherForm
) -> None:
    end = EndMark("r")
    plain = reader_of(log, store, AS_WRITTEN)
    readers = [reader_of(log, store, form) for _ in range(3)]
    for number in range(1, 4):
        log.publish([body()], end)
        for reader in readers:
            assert reader.next(0) == other(f"word {number}")
        assert plain.take() == b'id: %d\ndata: {"type":"word"}\n\n' % number
    late = reader_of(log, store, form, after=1)
    assert late.next(0) == other("word 2", "word 3")
    assert form.encoded == dict.fromkeys(numbered(1, [body()] * 3), 1)


def test_what_the_log_has_dropped_is_read_from_the_store_in_the_readers_form(
    log: EventLog, store: Store, form: OtherForm
) -> None:
    end, early = EndMark("r"), reader_of(log, store, form)
    assert early.next(0) == b""
    for _ in range(3):
        log.publish([body()] * KEEP_EVENTS, end)
        keep(store, log)
    assert log.first_number > 1
    told = b""
    while piece := early.next(0):
        told += piece
    assert told == other(*(f"word {number}" for number in range(1, 3 * KEEP_EVENTS + 1)))


def test_frames_stay_beside_their_facts_when_old_ones_are_dropped(
    log: EventLog, store: Store, form: OtherForm
) -> None:
    end, reader = EndMark("r"), reader_of(log, store, form)
    told: list[bytes] = []
    for _ in range(40):
        log.publish([body()] * (MAX_SLICE // 10), end)
        told.append(reader.take() or b"")
        keep(store, log)
    assert b"".join(told) == other(*(f"word {number}" for number in range(1, log.next_number)))
    assert set(form.encoded.values()) == {1}


def test_what_another_process_has_written_is_read_in_the_readers_form(
    log: EventLog, store: Store, form: OtherForm
) -> None:
    reader = reader_of(log, store, form)
    log.receive(Segment(log.session_id, "r", 1, 2, b"".join(numbered(1, [body()] * 2))))
    log.receive(Segment(log.session_id, "r", 2, 3, b"".join(numbered(2, [body()] * 2))))
    assert reader.next(0) == other("word 1", "word 2", "word 3")


@pytest.mark.parametrize(("after", "left"), [(0, [3, 4, 9]), (3, [4, 9]), (5, [9])])
def test_stored_facts_keep_their_numbers_when_others_before_them_are_gone(
    log: EventLog, store: Store, form: OtherForm, after: int, left: list[int]
) -> None:
    facts = b"".join(numbered(3, [body()] * 2) + numbered(9, [body()]))
    with store.database.writing() as connection:
        write_segments(connection, [Segment(log.session_id, "r", 1, 9, facts)])
    log.continue_at(10)
    assert reader_of(log, store, form, after=after).next(0) == other(*(f"word {number}" for number in left))
    assert numbers(reader_of(log, store, AS_WRITTEN, after=after).next(0)) == left


def test_a_gap_and_an_end_that_was_not_told_have_the_readers_form_too(
    log: EventLog, store: Store, form: OtherForm
) -> None:
    log.continue_at(10)
    end = EndMark("r", elsewhere=True)
    words = [b'data: {"type":"stream_stopped"}\n\n']
    reader = reader_of(log, store, form, end=end, found=RunEnd(9, words, told=False))
    told = [reader.next(1.0), reader.next(1.0), reader.next(1.0)]
    assert told == [other("gap ?"), other("stream_stopped ?"), None]


def test_an_end_that_could_be_stored_later_is_encoded_anew(
    log: EventLog, store: Store, form: OtherForm
) -> None:
    end = EndMark("r")
    log.publish([body()], end)
    end_run(log, end, [body("end")])
    forms = [reader_of(log, store, form).next(0)]
    for replace in (log.unnumber, log.renumber):
        replace(2, [body("end")])
        forms.append(reader_of(log, store, form).next(0))
    assert forms == [other("word 1", f"end {number}") for number in ("2", "?", "2")]


def test_clients_that_are_not_told_of_some_events_are_told_of_the_next(
    log: EventLog, store: Store, form: OtherForm
) -> None:
    log.publish([*[body("hidden")] * (2 * MAX_SLICE + 1), body()], EndMark("r"))
    number = 2 * MAX_SLICE + 2
    assert reader_of(log, store, form).take() == other(f"word {number}")
    assert reader_of(log, store, form).next(1.0) == other(f"word {number}")


def test_an_encoder_that_fails_fails_its_readers_only(log: EventLog, store: Store) -> None:
    class Broken:
        def encode(self, fact: bytes) -> bytes:
            raise ZeroDivisionError

    end, broken = EndMark("r"), Broken()
    for number in (1, 2):
        log.publish([body()], end)
        with pytest.raises(ZeroDivisionError):
            reader_of(log, store, broken).take()
        assert numbers(reader_of(log, store, AS_WRITTEN, after=number - 1).take()) == [number]


def test_facts_have_the_form_that_earlier_versions_pass_on(log: EventLog) -> None:
    """They share the database during an upgrade, and send `frames` to their clients byte for byte."""
    log.publish([body("a"), body("b")], EndMark("r"))
    segment = log.unwritten("r")
    assert segment is not None
    assert segment.facts == b'id: 1\ndata: {"type":"a"}\n\nid: 2\ndata: {"type":"b"}\n\n'
