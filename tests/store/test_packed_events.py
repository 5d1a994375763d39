"""Event segments are packed as they are written, and condensed when their run has ended."""

from __future__ import annotations

import random
from typing import Final

import pytest
from sqlalchemy import delete, func, insert, select, update

from app.conversation.condensed_facts import facts_after
from app.conversation.event_facts import EventFact
from app.conversation.events import AgentChoice
from app.conversation.run import Baton
from app.event_encoder import EventEncoder
from app.sse_format import numbered
from app.store.clock import now
from app.store.event_condenser import EventCondenser
from app.store.event_segments import Segment
from app.store.event_store import ASK_SECONDS, PACKING_JOB, EventStore
from app.store.packed_facts import AS_SENT, CONDENSED, pack, unpack
from app.store.store import Store
from app.store.tables import (
    event_segments,
    runs,
    scheduled_jobs,
    sessions,
)
from tests.store.actors import begin, new_session

WORDS: Final = (
    "the",
    "session",
    "of",
    "an",
    "ended",
    "run",
    "keeps",
    "what",
    "it",
    "said",
    "for",
    "its",
    "readers",
)


class Answer:
    """A run that has said so many words, so many to a segment."""

    def __init__(self, store: Store, words: int, each: int) -> None:
        self.store = store
        self.baton: Baton = begin(store, new_session(store).id).run.baton
        pick = random.Random(7)
        self.texts = [f" {pick.choice(WORDS)}" for _ in range(words)]
        for at in range(0, words, each):
            frames = numbered(at + 1, EventEncoder().encode_all(map(self._event, self.texts[at : at + each])))
            segment = Segment(
                self.baton.session_id, self.baton.run_id, at + 1, at + len(frames), b"".join(frames)
            )
            store.events.append([(self.baton, segment)])

    def _event(self, text: str) -> AgentChoice:
        ids = f"{self.baton.session_id}:{self.baton.run_id}:assistant:1"
        return AgentChoice(content=text, session_id=self.baton.session_id, message_id=ids, agent_name="root")

    def end(self) -> None:
        self.store.runs.finish(self.baton, "finished", next_event=len(self.texts) + 1)
        with self.store.database.writing() as connection:
            mine = runs.c.id == self.baton.run_id
            connection.execute(update(runs).where(mine).values(ended_at=now() - 400, first_event=1))

    @property
    def rows(self) -> list[bytes]:
        here = event_segments.c.session_id == self.baton.session_id
        query = select(event_segments.c.frames).where(here).order_by(event_segments.c.first)
        with self.store.database.reading() as connection:
            return list(connection.execute(query).scalars())

    def read(self, after: int) -> str:
        """What a reader with that cursor is still told."""
        text = ""
        while segments := self.store.events.read(self.baton.session_id, after):
            for segment in segments:
                found = [EventFact.read(fact) for fact in facts_after(after, segment.facts)]
                text += "".join(fact.fields["content"] for fact in found)
                after = segment.last
        return text


@pytest.mark.parametrize(("each", "most"), [(2, 40), (12, 20), (40, 16)])
def test_a_delta_of_a_live_run_takes_few_bytes(store: Store, each: int, most: int) -> None:
    answer = Answer(store, 120, each)
    assert sum(map(len, answer.rows)) / 120 <= most
    assert answer.read(0) == "".join(answer.texts)


@pytest.mark.parametrize("each", [2, 12, 50])
def test_a_delta_of_an_ended_run_takes_eight_bytes_at_most(store: Store, each: int) -> None:
    answer = Answer(store, 1_000, each)
    answer.end()
    assert store.condenser.condense() == -(-1_000 // each)
    assert sum(map(len, answer.rows)) / 1_000 <= 8


def test_a_cursor_in_the_middle_of_a_condensed_stretch_gets_the_rest_of_the_text(store: Store) -> None:
    answer = Answer(store, 100, 7)
    answer.end()
    store.condenser.condense()
    assert [row[:1] for row in answer.rows] == [CONDENSED]
    assert [answer.read(after) for after in range(101)] == ["".join(answer.texts[at:]) for at in range(101)]
    assert store.events.bounds(answer.baton.session_id) == (1, 100)
    assert store.events.last_of(answer.baton.session_id, answer.baton.run_id) == 100


def test_what_is_condensed_is_left_alone_the_next_time(store: Store) -> None:
    answer = Answer(store, 100, 7)
    answer.end()
    assert store.condenser.condense() > 0
    assert store.condenser.condense() == 0


def test_a_run_at_work_and_one_that_has_just_ended_are_left_alone(store: Store) -> None:
    working, fresh = Answer(store, 100, 10), Answer(store, 100, 10)
    store.runs.finish(fresh.baton, "finished", next_event=101)
    assert store.condenser.condense() == 0
    assert len(working.rows) == len(fresh.rows) == 10


def test_a_missing_number_stays_missing(store: Store) -> None:
    """A reader must still be told of the gap."""
    answer = Answer(store, 100, 10)
    answer.end()
    with store.database.writing() as connection:
        hole = (event_segments.c.session_id == answer.baton.session_id) & (event_segments.c.first == 51)
        connection.execute(delete(event_segments).where(hole))
    store.condenser.condense()
    found = store.events.read(answer.baton.session_id, 0)
    assert [(segment.first, segment.last) for segment in found] == [(1, 50), (61, 100)]


def test_a_session_that_is_deleted_meanwhile_gets_no_events_back(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = Answer(store, 100, 10)
    answer.end()
    replace = EventCondenser._replace

    def deleted_before(condenser: EventCondenser, rows: list[object]) -> int:
        with store.database.writing() as connection:
            connection.execute(delete(sessions).where(sessions.c.id == answer.baton.session_id))
        return replace(condenser, rows)

    monkeypatch.setattr(EventCondenser, "_replace", deleted_before)
    assert store.condenser.condense() == 0
    assert answer.rows == []


def test_two_processes_that_condense_at_once_leave_each_event_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = Answer(store, 100, 10)
    answer.end()
    replace = EventCondenser._replace
    others: list[int] = []

    def second(condenser: EventCondenser, rows: list[object]) -> int:
        if not others:
            others.append(replace(EventCondenser(store.database), rows))
        return replace(condenser, rows)

    monkeypatch.setattr(EventCondenser, "_replace", second)
    assert store.condenser.condense() == 0
    assert others == [10]
    assert answer.read(0) == "".join(answer.texts)


def test_nothing_is_packed_as_long_as_older_processes_may_be_at_work(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.database.writing() as connection:
        connection.execute(insert(scheduled_jobs).values(name=PACKING_JOB, due_at=now() + 3600))
    try:
        clock = [1000.0]
        monkeypatch.setattr("app.store.event_store.time.monotonic", lambda: clock[0])
        store.events = EventStore(store.database, store.events._fence, store.jobs)
        before = Answer(store, 20, 10)
        assert all(row.startswith(b"id: ") for row in before.rows)
        with store.database.writing() as connection:
            mine = scheduled_jobs.c.name == PACKING_JOB
            connection.execute(update(scheduled_jobs).where(mine).values(due_at=now() - 1))
        clock[0] += ASK_SECONDS
        after = Answer(store, 20, 10)
        assert all(row.startswith(AS_SENT) for row in after.rows)
        assert before.read(0) == "".join(before.texts)
    finally:
        with store.database.writing() as connection:
            connection.execute(delete(scheduled_jobs).where(scheduled_jobs.c.name == PACKING_JOB))


def test_what_is_read_at_once_is_bounded_by_what_it_unpacks_to(store: Store) -> None:
    answer = Answer(store, 500, 50)
    whole = len(store.events.read(answer.baton.session_id, 0)[0].facts)
    found = store.events.read(answer.baton.session_id, 0, most_bytes=int(2.5 * whole))
    assert [segment.first for segment in found] == [1, 51]


def test_stored_bytes_that_nobody_can_read_are_named() -> None:
    packed = pack("s", "r", b"id: 1\ndata: {}\n\n", AS_SENT)
    assert unpack("s", "r", packed) == b"id: 1\ndata: {}\n\n"
    with pytest.raises(ValueError, match="run r can't be read"):
        unpack("s", "r", packed[:1] + b"\xff" + packed[2:])


def test_every_plain_fact_is_told_from_a_packed_one(store: Store) -> None:
    """Versions before this one wrote facts as they are; they begin with their number."""
    count = select(func.count()).where(func.substr(event_segments.c.frames, 1, 1) == AS_SENT)
    with store.database.reading() as connection:
        assert connection.execute(count.select_from(event_segments)).scalar_one() > 0
    assert unpack("s", "r", b"id: 1\ndata: {}\n\n") == b"id: 1\ndata: {}\n\n"
