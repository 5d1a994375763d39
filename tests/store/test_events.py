"""The written part of the event logs: what is written twice is there once, in order, until it is pruned."""

from __future__ import annotations

from sqlalchemy import update

from app.store.event_store import RESERVED_NUMBERS, Segment
from app.store.store import Store
from app.store.tables import event_segments
from tests.harness.rows import all_rows
from tests.store.actors import begin, new_session


def _segment(session_id: str, first: int, last: int, frames: bytes = b"") -> Segment:
    return Segment(session_id, "a-run", first, last, frames or b"%d-%d \x00\xff" % (first, last))


def test_segments_come_back_byte_for_byte_and_in_order(store: Store) -> None:
    session, other = new_session(store), new_session(store)
    segments = [_segment(session.id, 1, 3), _segment(session.id, 4, 4), _segment(session.id, 5, 90)]
    for segment in segments:
        store.events.append([segment, _segment(other.id, segment.first, segment.last)])
    assert store.events.read(session.id, 0) == segments
    assert store.events.read(session.id, 3) == segments[1:]
    assert store.events.read(session.id, 4) == store.events.read(session.id, 89) == segments[2:]
    assert store.events.read(session.id, 90) == []
    assert store.events.read(session.id, 0, limit=2) == segments[:2]
    assert store.events.bounds(session.id) == (1, 90)
    assert store.events.bounds("nobody") == (0, 0)
    assert store.events.newest([session.id, other.id]) == {session.id: 90, other.id: 90}


def test_writing_the_same_events_again_changes_nothing_but_what_came_since(store: Store) -> None:
    session = new_session(store)
    store.events.append([_segment(session.id, 1, 3)])
    store.events.append([_segment(session.id, 4, 6, b"4-6")])
    store.events.append([_segment(session.id, 4, 9, b"4-9")])
    assert [(s.first, s.last, s.frames[:3]) for s in store.events.read(session.id, 0)] == [
        (1, 3, b"1-3"),
        (4, 9, b"4-9"),
    ]


def test_numbers_beyond_what_is_written_stay_reserved_while_a_run_lives(store: Store) -> None:
    session = new_session(store)
    run = begin(store, session.id).run
    reserved = store.sessions.next_event(session.id)
    assert reserved > RESERVED_NUMBERS
    store.events.append([_segment(session.id, 1, 5)])
    assert store.sessions.next_event(session.id) == 6 + RESERVED_NUMBERS
    store.events.append([_segment(session.id, 1, 2)])
    assert store.sessions.next_event(session.id) == 6 + RESERVED_NUMBERS
    store.runs.finish(run.baton, "finished", next_event=7)
    assert store.sessions.next_event(session.id) == 7


def test_a_deleted_session_does_not_keep_the_events_of_others_from_being_written(store: Store) -> None:
    gone, here = new_session(store), new_session(store)
    store.sessions.delete(gone.id)
    store.events.append([_segment(gone.id, 1, 2), _segment(here.id, 1, 2)])
    assert store.events.bounds(here.id) == (1, 2)
    assert store.events.bounds(gone.id) == (0, 0)


def test_old_segments_go_and_so_do_those_far_behind(store: Store) -> None:
    session, old = new_session(store), new_session(store)
    for first in (1, 11, 21):
        store.events.append([_segment(session.id, first, first + 9)])
    store.events.append([_segment(old.id, 1, 5)])
    with store.database.writing() as connection:
        here = event_segments.c.session_id == old.id
        connection.execute(update(event_segments).where(here).values(created_at=1.0))
    before = all_rows(store.database)
    store.events.prune(older_than_seconds=10**12, keep_events=1000)
    assert all_rows(store.database) == before
    store.events.prune(older_than_seconds=3600, keep_events=15)
    assert store.events.read(old.id, 0) == []
    assert [segment.first for segment in store.events.read(session.id, 0)] == [11, 21]
