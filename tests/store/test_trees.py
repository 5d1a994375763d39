"""A session with all that was given away in it, as both databases read it."""

from __future__ import annotations

import uuid

import pytest

from app.conversation.blocks import text_block
from app.conversation.session import Session
from app.conversation.transcript import Message
from app.conversation.usage import Usage
from app.errors import SessionNotFound
from app.store.store import Store


def add(store: Store, parent: str | None = None, *usages: Usage) -> str:
    new = Session(uuid.uuid4().hex, owner="ann", parent_id=parent, agent="team/a" if parent else "")
    said = Message("user", (text_block("hi"),))
    answers = [Message("assistant", (text_block("yes"),), usage=usage) for usage in usages]
    store.sessions.create(new, transcript=[said, *answers][:2])
    return new.id


def test_a_tree_has_each_session_once_with_its_own_numbers(store: Store) -> None:
    top = add(store, None, Usage(5, 1, 2, 3))
    below = [add(store, top, Usage(7, 2)) for _ in range(3)]
    deepest = add(store, below[0])
    add(store)
    rows = store.trees.read(top, owner="ann")
    assert rows.sessions[0].id == top
    assert {one.id for one in rows.sessions} == {top, *below, deepest}
    assert rows.usage[top] == Usage(5, 1, 2, 3)
    assert rows.usage[below[1]] == Usage(7, 2)
    assert deepest not in rows.usage
    assert set(rows.written_at) == {top, *below, deepest}
    assert (rows.runs, rows.calls, rows.transfers) == ({}, {}, {})
    assert {one.id for one in store.trees.read(below[0]).sessions} == {below[0], deepest}


def test_another_owners_tree_is_not_there(store: Store) -> None:
    top = add(store)
    with pytest.raises(SessionNotFound):
        store.trees.read(top, owner="bob")


def test_a_list_of_todos_takes_the_place_of_the_one_before(store: Store) -> None:
    session = add(store)
    for todos in ([{"id": "todo_1"}], []):
        with store.claims.holding(session) as conversation:
            conversation.set_todos("root/todo#0", todos, done="changed")
            assert conversation.tool_state("root/todo#0") == todos
        assert store.sessions.tool_states(session) == {"root/todo#0": todos}
    with store.claims.holding(session) as conversation:
        assert conversation.tool_state("another") is None
