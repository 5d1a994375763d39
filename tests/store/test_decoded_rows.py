"""A process that has decoded a session's rows reads them as they are, whatever other processes do meanwhile."""

from __future__ import annotations

import tracemalloc
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import update

from app.agent.kept_history import KeptHistory
from app.agent.request_builder import RequestBuilder
from app.conversation.blocks import text_block
from app.conversation.frozen_prompt import FrozenPrompt
from app.conversation.summary import Summary
from app.conversation.transcript import Message
from app.store.decoded_rows import DecodedRows
from app.store.engine import Database
from app.store.store import Store
from app.store.tables import messages
from tests.store.actors import THERE, begin, calling, everybody_is_gone, new_session, seeing, user


def said(text: str) -> Message:
    return Message("assistant", (text_block(text),), created_at=2.0, stop_reason="end_turn", id="by-a-run")


@pytest.fixture
def other(shared_url: str) -> Iterator[Store]:
    """Another process on the same database."""
    database = Database(shared_url)
    yield Store(database, lease_seconds=30.0)
    database.close()


def talk(store: Store, session_id: str, *turns: str) -> None:
    for words in turns:
        baton = begin(store, session_id, words, owner=THERE).run.baton
        store.journal.add_turn(baton, session_id, said(f"{words}!"), tokens=None)
        store.runs.finish(baton, "finished")


def edit(store: Store, session_id: str) -> None:
    with store.claims.holding(session_id) as held:
        held.edit(0, user("other words"))


def edit_with_as_many_bytes(store: Store, session_id: str) -> None:
    with store.claims.holding(session_id) as held:
        held.edit(0, user("eno"))


def undo(store: Store, session_id: str) -> None:
    with store.claims.holding(session_id) as held:
        held.undo(None)


def undo_and_say_the_same(store: Store, session_id: str) -> None:
    undo(store, session_id)
    talk(store, session_id, "two")


def add(store: Store, session_id: str) -> None:
    with store.claims.holding(session_id) as held:
        held.add(user("by the way"))


def summarize(store: Store, session_id: str) -> None:
    with store.claims.holding(session_id) as held:
        held.summarize("What was said.")


def refuse(store: Store, session_id: str) -> None:
    baton = begin(store, session_id, "three", owner=THERE).run.baton
    store.journal.refuse_last(baton, session_id)
    store.runs.finish(baton, "failed")


def leave_pictures_out(store: Store, session_id: str) -> None:
    baton = begin(store, session_id, "three", owner=THERE).run.baton
    store.journal.add_summary(baton, session_id, Summary(1, "", 0, 0, 0, 5), without_pictures=[0])
    store.runs.finish(baton, "finished")


def die(store: Store, session_id: str) -> None:
    baton = begin(store, session_id, "three", owner=THERE).run.baton
    store.journal.add_turn(baton, session_id, calling(uuid.uuid4().hex), tokens=None)
    begin(store, session_id, "four", owner=THERE, probe=everybody_is_gone)
    seeing(store, everybody_is_gone).sweep.interrupt_dead(by_lease=True)


def withdraw(store: Store, session_id: str) -> None:
    store.claims.withdraw(begin(store, session_id, "three", owner=THERE))


def delete_and_make_again(store: Store, session_id: str) -> None:
    session = store.sessions.get(session_id)
    store.sessions.delete(session_id)
    store.sessions.create(session)
    talk(store, session_id, "one", "2")


def delete(store: Store, session_id: str) -> None:
    session = store.sessions.get(session_id)
    store.sessions.delete(session_id)
    store.sessions.create(session)


def write_as_a_version_to_come(store: Store, session_id: str) -> None:
    """A row is changed by a statement that this version does not have, and that leaves no other trace."""
    here = (messages.c.session_id == session_id, messages.c.position == 1)
    with store.database.writing() as connection:
        connection.execute(update(messages).where(*here).values(model="another"))


DEEDS = [
    talk,
    edit,
    edit_with_as_many_bytes,
    undo,
    undo_and_say_the_same,
    add,
    summarize,
    refuse,
    leave_pictures_out,
    die,
    withdraw,
    delete_and_make_again,
    delete,
    write_as_a_version_to_come,
]


@pytest.mark.parametrize("deed", DEEDS)
def test_what_another_process_did_is_read(
    store: Store, other: Store, deed: Callable[[Store, str], None]
) -> None:
    session = new_session(store).id
    talk(store, session, "one", "two")
    known = store.reads.opening(session, "root").decoded
    assert len(known.messages) == 4
    deed(other, session)
    assert_reads_as_one_that_knows_nothing(store, session, known)


def test_what_was_undone_and_done_again_is_read(store: Store, other: Store) -> None:
    """Known rows are compared one by one, so it does not matter how many there were in between."""
    session = new_session(store).id
    talk(store, session, "one", "two")
    known = store.reads.opening(session, "root").decoded
    for deed in (undo, add, undo, edit, undo_and_say_the_same):
        deed(other, session)
        known = assert_reads_as_one_that_knows_nothing(store, session, known)


def assert_reads_as_one_that_knows_nothing(store: Store, session: str, known: DecodedRows) -> DecodedRows:
    fresh = store.reads.opening(session, "root").decoded
    read = store.reads.opening(session, "root", known).decoded
    assert [all_of(row) for row in read.messages] == [all_of(row) for row in fresh.messages]
    assert (read.raw, read.weight) == (fresh.raw, fresh.weight)
    return read


def all_of(row: Message) -> dict[str, Any]:
    """A message's fields, those included that do not count when messages are compared."""
    return {name: getattr(row, name) for name in Message.__dataclass_fields__}


def test_a_row_that_has_not_changed_is_not_decoded_again(store: Store, other: Store) -> None:
    session = new_session(store).id
    talk(store, session, "one", "two")
    known = store.reads.opening(session, "root").decoded
    talk(other, session, "three")
    read = store.reads.opening(session, "root", known).decoded
    assert [id(row) for row in read.messages[:4]] == [id(row) for row in known.messages]
    edit(other, session)
    edited = store.reads.opening(session, "root", read).decoded
    assert edited.messages[0].content == user("other words").content
    assert edited.messages[1] is read.messages[1]


CONTENTS = {
    "words": [text_block("The river keeps moving. " * 4)],
    "no ASCII": [text_block("Ein Fluß, 一条河, 🌊 " * 40)],
    "a large text": [text_block("x" * 100_000)],
    "a call": [
        {"type": "tool_use", "id": "a", "name": "edit", "input": {"path": "/a", "edits": [{"n": 1}, {}]}}
    ],
    "many small values": [
        {"type": "tool_use", "id": "a", "name": "t", "input": {"rows": [[], {}, 1.5] * 500}}
    ],
    "numbers": [{"type": "tool_use", "id": "a", "name": "t", "input": {"rows": [1000.25] * 2000}}],
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_the_weight_is_not_less_than_the_memory(store: Store, content: list[dict[str, Any]]) -> None:
    session = new_session(store).id
    rows = [replace(said("x"), content=tuple(content), id=str(uuid.uuid4())) for _ in range(50)]
    baton = begin(store, session, "go", owner=THERE).run.baton
    for row in rows:
        store.journal.add_messages(baton, session, [row, user("next")])
    store.reads.opening(session, "root")  # so that nothing is made only once
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        decoded = store.reads.opening(session, "root").decoded
        kept = KeptHistory()
        kept.see(decoded.messages)
        RequestBuilder(FrozenPrompt("d", "root", "d", "m", "[]", "[]"), kept).build(
            decoded.messages, model="m", max_tokens=1, options={}
        )
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert taken <= decoded.weight
