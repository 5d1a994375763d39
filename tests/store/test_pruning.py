"""Nothing grows without end: a row goes with its session, or when it is old."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import fields, replace
from types import SimpleNamespace
from typing import Final

import pytest
from sqlalchemy import ColumnElement, Table, select, update

from app.conversation.blocks import text_block
from app.conversation.queued_message import QueuedMessage
from app.conversation.run import Run
from app.store import pruning
from app.store.engine import Database
from app.store.event_segments import RESERVED_NUMBERS, Segment
from app.store.event_store import AT_WORK_WITHIN
from app.store.queue_store import KEEP_TAKEN_SECONDS
from app.store.store import Pruned, Store
from app.store.tables import (
    event_segments,
    metadata,
    queued_messages,
    runs,
)
from tests.store.actors import begin, new_session


def goes_with_its_session(table: str) -> bool:
    return any(
        key.column.table.name == "sessions" and key.ondelete == "CASCADE"
        for key in metadata.tables[table].foreign_keys
    )


PRUNED_WHEN_WRITTEN: Final = frozenset({"brakes", "disabled_webhooks"})
"""A write, which is rare, drops the old rows (`tests/store/test_brakes.py`, `tests/managed/test_webhooks.py`)."""

DEFINED_BY_CLIENTS: Final = frozenset(
    {
        "stored_agents",
        "agent_versions",
        "environments",
        "vaults",
        "vault_credentials",
        "skills",
        "skill_archives",
    }
    | {"memory_stores", "memories"}
)
"""They stay until their owner takes them away."""


OF_A_FILE: Final = frozenset({"file_chunks"})
"""They go with their content."""

REPLACED: Final = frozenset({"work_polls"})
"""Each poll of an environment drops the older notes of its workers."""

FOLLOWS: Final = frozenset({"search_pending", "search_backlog", "search_entries"})
"""The index drops what is gone when it follows (`tests/store/test_search_index.py`)."""


def test_every_table_goes_with_its_session_or_is_pruned() -> None:
    pruned = {field.name for field in fields(Pruned)}
    assert pruned <= set(metadata.tables)
    known = pruned | PRUNED_WHEN_WRITTEN | FOLLOWS | DEFINED_BY_CLIENTS | OF_A_FILE | REPLACED
    others = set(metadata.tables) - known
    assert [table for table in others if not goes_with_its_session(table)] == []


SEGMENTS: Final = 10
EACH: Final = 9  # events of a segment


def _session_with_segments(store: Store) -> Run:
    """Its run is at work."""
    run = begin(store, new_session(store).id).run
    for number in range(SEGMENTS):
        first = number * EACH + 1
        segment = Segment(run.session_id, run.id, first, first + EACH - 1, b"x")
        store.events.append([(run.baton, segment)])
    return run


def _change(store: Store, table: Table, condition: ColumnElement[bool], **values: object) -> None:
    with store.database.writing() as connection:
        connection.execute(update(table).where(condition).values(values))


def _segments(store: Store, run: Run) -> int:
    return len(store.events.read(run.session_id, 0, limit=SEGMENTS))


def test_other_writers_get_in_while_much_is_pruned(
    store: Store, shared_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs_at_work = [_session_with_segments(store) for _ in range(3)]
    _change(store, event_segments, event_segments.c.session_id == runs_at_work[0].session_id, created_at=1.0)
    monkeypatch.setattr(pruning, "AT_ONCE", 3)
    written: list[str] = []
    with closing(Database(shared_url)) as elsewhere:

        def write_meanwhile(_seconds: float) -> None:
            written.append(new_session(Store(elsewhere, lease_seconds=30.0)).id)

        monkeypatch.setattr(pruning, "time", SimpleNamespace(sleep=write_meanwhile, monotonic=time.monotonic))
        assert store.events.prune(older_than_seconds=3600, keep_events=EACH) == SEGMENTS + 2 * (SEGMENTS - 1)
    assert len(written) == 4 + 3 + 3, "after each three rows of each session"
    assert [_segments(store, run) for run in runs_at_work] == [0, 1, 1]


def test_a_call_prunes_only_so_much_and_says_that_there_may_be_more(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = _session_with_segments(store)
    monkeypatch.setattr(pruning, "AT_ONCE", 2)
    monkeypatch.setattr(pruning, "MOST", 4)
    dropped = [store.events.prune(older_than_seconds=3600, keep_events=EACH) for _ in range(4)]
    assert dropped == [4, 4, 1, 0]
    assert _segments(store, run) == 1


def test_pruning_looks_only_at_sessions_that_were_at_work_since_the_last_time(store: Store) -> None:
    """A session becomes too long by a run. Looking at all of them, each minute, costs what is stored."""
    at_work, ended, long_ago = (_session_with_segments(store) for _ in range(3))
    for run in (ended, long_ago):
        store.runs.finish(run.baton, "finished")
    _change(store, runs, runs.c.id == long_ago.id, ended_at=runs.c.ended_at - 2 * AT_WORK_WITHIN)
    store.prune(keep_events=EACH)
    assert [_segments(store, run) for run in (at_work, ended, long_ago)] == [1, 1, SEGMENTS]
    store.prune(keep_events=EACH, at_work_within=None)
    assert _segments(store, long_ago) == 1


def test_events_are_counted_and_not_their_numbers_which_jump_after_a_crash(store: Store) -> None:
    run = _session_with_segments(store)
    after = RESERVED_NUMBERS + 1
    store.events.append([(run.baton, Segment(run.session_id, run.id, after, after + EACH - 1, b"x"))])
    assert store.events.prune(older_than_seconds=3600, keep_events=EACH * (SEGMENTS + 1)) == 0
    assert store.events.prune(older_than_seconds=3600, keep_events=EACH * SEGMENTS) == 1
    assert store.events.bounds(run.session_id) == (EACH + 1, after + EACH - 1)


def test_a_queued_message_goes_a_day_after_the_run_that_took_it_ended(store: Store) -> None:
    session = new_session(store)
    message = QueuedMessage("", session.id, "steer", (text_block("more"),), 1.0, "")
    ids = [f"{session.id}-{number}" for number in range(4)]

    def take(message_id: str) -> Run:
        run = begin(store, session.id).run
        store.queue.add([replace(message, id=message_id)], needs_run=True)
        assert store.queue.take(replace(run.baton, write=1), session.id, kinds=[("steer", 9)])
        return run

    for number, message_id in enumerate(ids[:2]):
        run = take(message_id)
        store.runs.finish(run.baton, "finished")
        if number == 0:
            _change(store, runs, runs.c.id == run.id, ended_at=runs.c.ended_at - 2 * KEEP_TAKEN_SECONDS)
    take(ids[2])
    store.queue.add([replace(message, id=ids[3])], needs_run=True)
    assert store.queue.prune() == 1
    with store.database.reading() as connection:
        here = queued_messages.c.session_id == session.id
        left = connection.execute(select(queued_messages.c.id).where(here)).scalars().all()
    assert sorted(left) == ids[1:], "its run ended lately, it is at work, it was not taken"
