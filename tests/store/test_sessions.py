"""Sessions: made, found by those who may see them, changed, listed, deleted with all that is theirs."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest

from app.conversation.session import Session
from app.errors import SessionNotFound
from app.store.event_segments import Segment
from app.store.session_rows import allow_tool, set_policy
from app.store.store import Store
from tests.harness.rows import all_rows
from tests.harness.wire import in_parallel
from tests.store.actors import begin, calling, new_session, result, user


def test_a_session_comes_back_as_it_was_stored(store: Store) -> None:
    session = new_session(
        store,
        title="Größe \u2028 \U0001f600",
        owner="ann",
        working_dir="/somewhere else",
        tools_approved=True,
        thinking=True,
        max_iterations=7,
        permissions={"allow": ["shell:cmd=ls*"], "deny": []},
        input_tokens=2**40,
        cost=0.1,
        starred=True,
    )
    assert store.sessions.get(session.id) == session
    assert store.sessions.get_with_messages(session.id) == (session, [])


def test_a_session_is_hidden_from_other_owners_and_shown_to_whoever_sees_all(store: Store) -> None:
    session = new_session(store, owner="ann")
    assert store.sessions.get(session.id, owner="ann") == store.sessions.get(session.id) == session
    for look in (store.sessions.get, store.sessions.get_with_messages):
        with pytest.raises(SessionNotFound):
            look(session.id, owner="bob")
    with pytest.raises(SessionNotFound):
        begin(store, session.id, "hello", visible_to="bob")
    assert session.id in {line.session.id for line in store.sessions.summaries(owner="ann")}
    assert store.sessions.summaries(owner="bob") == []


def test_the_list_has_root_sessions_newest_first_with_their_messages_counted(store: Store) -> None:
    old = new_session(store, owner="lister")
    new = Session(id=f"{old.id}-new", created_at=2000.0, owner="lister")
    store.sessions.create(new)
    begun = begin(store, old.id, "one", "two")
    store.journal.add_child(
        begun.run.baton, Session(f"{old.id}-kid", 3000.0, "", "lister", parent_id=old.id), []
    )
    assert [(line.session.id, line.num_messages) for line in store.sessions.summaries(owner="lister")] == [
        (new.id, 0),
        (old.id, 2),
    ]
    assert [line.session.id for line in store.sessions.summaries(owner="lister", limit=1)] == [new.id]


def test_the_list_can_be_read_in_pages_even_of_sessions_of_the_same_moment(store: Store) -> None:
    ids = [f"page-{uuid.uuid4()}" for _ in range(7)]
    for number, session_id in enumerate(ids):
        store.sessions.create(Session(id=session_id, created_at=1.0 + number // 3, owner="pager"))
    whole = [line.session for line in store.sessions.summaries(owner="pager")]
    pages: list[Session] = []
    while page := store.sessions.summaries(
        owner="pager", limit=2, after=(pages[-1].created_at, pages[-1].id) if pages else None
    ):
        pages += [line.session for line in page]
    assert pages == whole
    assert len(whole) == 7


def test_messages_can_be_read_in_pages(store: Store) -> None:
    session = new_session(store)
    assert store.sessions.last_position(session.id) == -1
    begin(store, session.id, *"abcde")
    assert store.sessions.last_position(session.id) == 4
    whole = store.sessions.messages(session.id)
    assert store.sessions.page_of_messages(session.id, first=1, last=3) == whole[1:4]
    assert store.sessions.page_of_messages(session.id, first=5, last=9) == []


def test_a_deleted_session_leaves_nothing_behind(store: Store) -> None:
    before = all_rows(store.database)
    session = new_session(store)
    baton = begin(store, session.id, "hello").run.baton
    store.journal.add_turn(baton, session.id, calling("a"), tokens=(1, 2))
    store.journal.add_result(baton, session.id, result("a"), "completed", toolset_states={"todo": [1]})
    store.journal.add_child(baton, Session(f"{session.id}-kid", 1.0, parent_id=session.id), [user("task")])
    store.events.append([(baton, Segment(session.id, baton.run_id, 1, 2, b"x"))])
    store.sessions.delete(session.id)
    assert all_rows(store.database) == before
    with pytest.raises(SessionNotFound):
        store.sessions.delete(session.id)


def test_a_title_is_set_and_not_replaced_if_only_an_empty_one_may_be(store: Store) -> None:
    session = new_session(store)
    assert store.sessions.set_title(session.id, "first", if_empty=True)
    assert not store.sessions.set_title(session.id, "second", if_empty=True)
    assert store.sessions.get(session.id).title == "first"
    assert store.sessions.set_title(session.id, "third")
    assert store.sessions.get(session.id).title == "third"


def test_flags_and_permissions_change(store: Store) -> None:
    session = new_session(store)
    store.sessions.toggle_tools_approved(session.id)
    store.sessions.toggle_thinking(session.id)
    store.sessions.set_permissions(session.id, {"allow": ["a"]})
    changed = store.sessions.get(session.id)
    assert (changed.tools_approved, changed.thinking, changed.permissions) == (True, True, {"allow": ["a"]})
    store.sessions.toggle_tools_approved(session.id)
    store.sessions.set_permissions(session.id, None)
    assert store.sessions.get(session.id).tools_approved is False
    assert store.sessions.get(session.id).permissions is None
    for _ in range(2):
        with store.database.writing() as connection:
            set_policy(connection, session.id, "autonomous")
    assert store.sessions.get(session.id).tools_approved is True


def test_patterns_that_are_allowed_at_the_same_time_are_all_kept(store: Store) -> None:
    session = new_session(store, permissions={"allow": ["p0"], "deny": ["x"]})

    def allow(pattern: str) -> None:
        with store.database.writing() as connection:
            allow_tool(connection, session.id, pattern)

    in_parallel([lambda n=n: allow(f"p{n}") for n in range(8)])
    permissions = store.sessions.get(session.id).permissions
    assert permissions is not None
    assert sorted(permissions["allow"]) == [f"p{n}" for n in range(8)]
    assert permissions["deny"] == ["x"]


@pytest.mark.parametrize(
    "change",
    [
        lambda sessions: sessions.get("nobody"),
        lambda sessions: sessions.set_permissions("nobody", None),
        lambda sessions: sessions.toggle_thinking("nobody"),
        lambda sessions: sessions.next_event("nobody"),
    ],
)
def test_what_is_not_there_is_not_found(store: Store, change: Callable[[object], None]) -> None:
    with pytest.raises(SessionNotFound):
        change(store.sessions)
