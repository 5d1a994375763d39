"""The written part of the event logs: an event that is written twice is there once, in order, until it is pruned."""

from __future__ import annotations

from sqlalchemy import update

from app.conversation.run import Baton
from app.conversation.run_outcome import interrupted
from app.store.event_segments import RESERVED_NUMBERS, Segment
from app.store.store import Store
from app.store.tables import event_segments
from tests.harness.rows import all_rows
from tests.store.actors import begin, new_session


def _events(baton: Baton, first: int, last: int, frames: bytes = b"") -> tuple[Baton, Segment]:
    frames = frames or b"%d-%d \x00\xff" % (first, last)
    return baton, Segment(baton.session_id, baton.run_id, first, last, frames)


def _holder(store: Store) -> Baton:
    """The holder of a new session."""
    return begin(store, new_session(store).id).run.baton


def test_segments_come_back_byte_for_byte_and_in_order(store: Store) -> None:
    baton, other = _holder(store), _holder(store)
    written = [_events(baton, 1, 3), _events(baton, 4, 4), _events(baton, 5, 90)]
    for _, segment in written:
        store.events.append([(baton, segment), _events(other, segment.first, segment.last)])
    segments = [segment for _, segment in written]
    session_id = baton.session_id
    assert store.events.read(session_id, 0) == segments
    assert store.events.read(session_id, 3) == segments[1:]
    assert store.events.read(session_id, 4) == store.events.read(session_id, 89) == segments[2:]
    assert store.events.read(session_id, 90) == []
    assert store.events.read(session_id, 0, limit=2) == segments[:2]
    assert store.events.bounds(session_id) == (1, 90)
    assert store.events.bounds("nobody") == (0, 0)
    assert store.events.newest([session_id, other.session_id]) == {session_id: 90, other.session_id: 90}


def test_what_is_read_at_once_is_bounded_by_bytes_too(store: Store) -> None:
    baton = _holder(store)
    sizes = [400, 400, 400, 5000, 100, 100]
    segments = [_events(baton, number, number, b"x" * size) for number, size in enumerate(sizes, 1)]
    for one in segments:
        store.events.append([one])
    found = [
        [segment.first for segment in store.events.read(baton.session_id, after, most_bytes=1000)]
        for after in range(6)
    ]
    assert found == [[1, 2], [2, 3], [3], [4], [5, 6], [6]]
    assert store.events.read(baton.session_id, 6, most_bytes=1000) == []


def test_the_newest_event_of_a_run_is_that_of_no_other_one(store: Store) -> None:
    first = _holder(store)
    store.events.append([_events(first, 1, 3)])
    store.runs.finish(first, "finished", next_event=4)
    second = begin(store, first.session_id).run.baton
    assert store.events.last_of(first.session_id, second.run_id) is None
    store.events.append([_events(second, 4, 9)])
    assert store.events.last_of(first.session_id, first.run_id) == 3
    assert store.events.last_of(first.session_id, second.run_id) == 9


def test_writing_the_same_events_again_changes_nothing_but_what_came_since(store: Store) -> None:
    baton = _holder(store)
    store.events.append([_events(baton, 1, 3)])
    store.events.append([_events(baton, 4, 6, b"4-6")])
    store.events.append([_events(baton, 4, 9, b"4-9")])
    assert [(s.first, s.last, s.facts[:3]) for s in store.events.read(baton.session_id, 0)] == [
        (1, 3, b"1-3"),
        (4, 9, b"4-9"),
    ]


def test_a_run_that_goes_on_elsewhere_has_numbers_reserved_too(store: Store) -> None:
    """It goes on behind everything that was reserved for who began it."""
    baton, other = _holder(store), _holder(store)
    first = store.sessions.next_event(baton.session_id)
    store.events.append([_events(other, 1, 5), _events(baton, first, first + 4)])
    assert store.sessions.next_event(baton.session_id) == first + 5 + RESERVED_NUMBERS
    assert store.sessions.next_event(other.session_id) == first


def test_numbers_beyond_what_is_written_stay_reserved_while_a_run_lives(store: Store) -> None:
    baton, half = _holder(store), RESERVED_NUMBERS // 2
    reserved = store.sessions.next_event(baton.session_id)
    assert reserved > RESERVED_NUMBERS
    store.events.append([_events(baton, 1, 5)])
    assert store.sessions.next_event(baton.session_id) == reserved, "there is no need to write it each time"
    store.events.append([_events(baton, 6, half + 5)])
    top = half + 6 + RESERVED_NUMBERS
    assert store.sessions.next_event(baton.session_id) == top
    store.events.append([_events(baton, 1, 2)])
    assert store.sessions.next_event(baton.session_id) == top
    store.runs.finish(baton, "finished", next_event=7)
    assert store.sessions.next_event(baton.session_id) == 7


def test_a_deleted_session_does_not_keep_the_events_of_others_from_being_written(store: Store) -> None:
    gone, here = _holder(store), _holder(store)
    store.sessions.delete(gone.session_id)
    assert store.events.append([_events(gone, 1, 2), _events(here, 1, 2)]).done == {here.run_id}
    assert store.events.bounds(here.session_id) == (1, 2)
    assert store.events.bounds(gone.session_id) == (0, 0)


def test_who_has_lost_the_session_writes_no_event_over_those_of_the_run_that_took_it(store: Store) -> None:
    late = _holder(store)
    store.events.append([_events(late, 1, 2)])
    store.runs.release(late.run_id, interrupted(""))
    after = begin(store, late.session_id).run.baton
    first = store.sessions.next_event(late.session_id)
    assert store.events.append([_events(after, first, first)]).done == {after.run_id}
    before = all_rows(store.database)
    assert store.events.append([_events(late, 3, 9)]).lost == {late.run_id}
    assert all_rows(store.database) == before


def test_old_segments_go_and_so_do_those_far_behind(store: Store) -> None:
    baton, old = _holder(store), _holder(store)
    for first in (1, 11, 21):
        store.events.append([_events(baton, first, first + 9)])
    store.events.append([_events(old, 1, 5)])
    with store.database.writing() as connection:
        here = event_segments.c.session_id == old.session_id
        connection.execute(update(event_segments).where(here).values(created_at=1.0))
    before = all_rows(store.database)
    store.events.prune(older_than_seconds=10**12, keep_events=10**6)
    assert all_rows(store.database) == before
    store.events.prune(older_than_seconds=3600, keep_events=15)
    assert store.events.read(old.session_id, 0) == []
    assert [segment.first for segment in store.events.read(baton.session_id, 0)] == [11, 21]
