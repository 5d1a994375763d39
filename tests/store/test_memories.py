"""Two writers at once, and what becomes of old versions."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import update

from app.errors import Conflict, InvalidRequest
from app.managed_ids import new_id
from app.store.engine import Database
from app.store.key_pages import Times, Window
from app.store.managed_tables import memory_versions
from app.store.memories import Listing
from app.store.memory_history import KEEP_SECONDS, VersionFilter
from app.store.memory_mounts import Baseline, LocalFile, add_mounts
from app.store.memory_rows import Actor, digest, modify
from app.store.quotas import Limits
from app.store.store import Store
from tests.harness.plans import recorded, scans
from tests.store.actors import new_session

ANN = Actor(key="ann")


@pytest.fixture
def store_id(store: Store) -> str:
    return store.memory_stores.add(new_id("memstore"), {"metadata": {}}, owner="ann").id


def test_of_two_writers_at_once_one_is_refused(
    store: Store, shared_url: str, store_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one comes while the first is between its look and its write, and waits for its end."""
    memory = store.memories.create(store_id, "/a", "old", by=ANN, owner=None)
    inside, go_on = threading.Event(), threading.Event()

    refused: list[Exception] = []
    entered: list[str] = []

    def held(*given: object) -> None:
        entered.append(threading.current_thread().name)
        if threading.current_thread().name == "first":
            inside.set()
            assert go_on.wait(30)
        modify(*given)  # type: ignore[arg-type]

    def write(text: str, through: Store) -> None:
        try:
            through.memories.change(
                store_id, memory.id, path=None, content=text, expected=digest("old"), by=ANN, owner=None
            )
        except Conflict as conflict:
            refused.append(conflict)

    monkeypatch.setattr("app.store.memories.modify", held)
    with closing(Database(shared_url)) as elsewhere:
        first = threading.Thread(target=write, args=("first", store), name="first")
        second = threading.Thread(
            target=write, args=("second", Store(elsewhere, lease_seconds=30.0)), name="second"
        )
        first.start()
        assert inside.wait(30)
        second.start()
        assert second.is_alive()
        go_on.set()
        first.join(30)
        second.join(30)
    assert entered == ["first"]
    assert [str(one) for one in refused] == ["The memory has another content by now. Fetch it and try again."]
    assert store.memories.get(store_id, memory.id, owner=None).content == "first"


def test_two_memories_made_at_once_at_one_path_are_one(store: Store, shared_url: str, store_id: str) -> None:
    both = threading.Barrier(2)
    made: list[object] = []

    def make(through: Store) -> None:
        both.wait(30)
        try:
            made.append(through.memories.create(store_id, "/same", "x", by=ANN, owner=None).id)
        except Conflict as conflict:
            made.append(conflict.details["in_error"]["conflicting_memory_id"])

    with closing(Database(shared_url)) as elsewhere:
        threads = [
            threading.Thread(target=make, args=(one,))
            for one in (store, Store(elsewhere, lease_seconds=30.0))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert len(made) == 2
    assert made[0] == made[1], "the one that is refused names the other one"
    assert len(store.memory_history.page(store_id, VersionFilter(limit=9), owner=None)) == 1


def test_a_version_goes_a_month_after_another_has_followed_it_and_the_last_one_never(
    store: Store, store_id: str
) -> None:
    kept = store.memories.create(store_id, "/a", "1", by=ANN, owner=None)
    for text in ("2", "3"):
        store.memories.change(store_id, kept.id, path=None, content=text, expected=None, by=ANN, owner=None)
    gone = store.memories.create(store_id, "/b", "4", by=ANN, owner=None)
    store.memories.delete(store_id, gone.id, expected=None, by=ANN, owner=None)
    assert store.memory_history.prune() == 0
    old = memory_versions.c.replaced_at - KEEP_SECONDS - 60

    def age(*contents: str | None) -> None:
        with store.database.writing() as connection:
            here = memory_versions.c.store_id == store_id
            connection.execute(update(memory_versions).where(here).values(created_at=1.0))
            connection.execute(
                update(memory_versions)
                .where(here, memory_versions.c.content.in_(contents))
                .values(replaced_at=old)
            )

    age("1")
    assert store.prune().memory_versions == 1
    left = store.memory_history.page(store_id, VersionFilter(limit=9, content=True), owner=None)
    assert [one.content for one in left] == [None, "4", "3", "2"]
    with store.database.writing() as connection:
        connection.execute(
            update(memory_versions)
            .where(memory_versions.c.store_id == store_id, memory_versions.c.replaced_at.is_not(None))
            .values(replaced_at=old)
        )
    assert store.memory_history.prune() == 3
    (head,) = store.memory_history.page(store_id, VersionFilter(limit=9, content=True), owner=None)
    assert head.content == store.memories.get(store_id, kept.id, owner=None).content == "3"


def test_a_store_goes_with_all_that_it_has_held(store: Store, store_id: str) -> None:
    memory = store.memories.create(store_id, "/a", "1", by=ANN, owner=None)
    store.memories.delete(store_id, memory.id, expected=None, by=ANN, owner=None)
    store.memories.create(store_id, "/b", "2", by=ANN, owner=None)
    store.memory_stores.delete(store_id, owner="ann")
    with store.database.reading() as connection:
        here = memory_versions.select().where(memory_versions.c.store_id == store_id)
        assert connection.execute(here).first() is None


def test_memories_are_in_the_order_of_their_bytes(store: Store, store_id: str) -> None:
    paths = ["/B", "/a", "/b-c", "/b/1", "/b0", "/ä"]
    for path in reversed(paths):
        store.memories.create(store_id, path, "", by=ANN, owner=None)

    def listed(**asked: Any) -> list[str]:
        found = store.memories.page(store_id, Listing(limit=9, **asked), owner="ann")
        return [one if isinstance(one, str) else one.path for one in found]

    assert listed() == paths
    assert listed(after="/b-c") == paths[3:]
    assert listed(prefix="/b/") == ["/b/1"]
    assert listed(shallow=True, after="/a") == ["/b-c", "/b/", "/b0", "/ä"]
    assert listed(shallow=True, after="/b/") == ["/b0", "/ä"]


def test_no_list_of_memories_and_no_pruning_scans_a_table(store: Store, shared_url: str) -> None:
    with recorded() as noted, closing(Database(shared_url)) as database:
        elsewhere = Store(database, lease_seconds=30.0)
        store_id = elsewhere.memory_stores.add(new_id("memstore"), {"metadata": {}}, owner="ann").id
        memory = elsewhere.memories.create(store_id, "/a/b", "1", by=ANN, owner="ann")
        elsewhere.memories.change(
            store_id, memory.id, path="/c", content=None, expected=None, by=ANN, owner="ann"
        )
        elsewhere.memories.page(store_id, Listing(limit=9, content=True, after="/a"), owner="ann")
        elsewhere.memories.page(store_id, Listing(limit=9, shallow=True), owner="ann")
        wanted = VersionFilter(limit=9, before=9, by_key="ann", made=Times(since=1.0))
        (newest, oldest) = elsewhere.memory_history.page(store_id, wanted, owner="ann")
        elsewhere.memory_history.page(store_id, replace(wanted, memory_id=memory.id), owner="ann")
        elsewhere.memory_history.redact(store_id, oldest.id, by=ANN, owner="ann")
        elsewhere.memory_stores.page(Window(limit=9), owner="ann")
        elsewhere.memories.delete(store_id, memory.id, expected=None, by=ANN, owner="ann")
        elsewhere.memory_history.prune()
        found = scans(database, noted)
        assert not found, "\n\n".join(f"{words}\n{plan}" for words, plan in found.items())
        assert newest.number > oldest.number


def test_what_a_session_writes_counts_as_its_names(database: Database) -> None:
    limited = Store(database, lease_seconds=30.0, limits=Limits(memory_bytes=5))
    store_id = limited.memory_stores.add(new_id("memstore"), {"metadata": {}}, owner="cleo").id
    session = new_session(limited, owner="cleo")
    with database.writing() as connection:
        add_mounts(connection, session.id, [store_id])
    mounts = limited.memory_mounts
    mounts.keep(session.id, store_id, Baseline("a mark"))
    files = {
        path: LocalFile(digest(text), text) for path, text in (("/a", "123"), ("/b", "456"), ("/c", "7"))
    }
    synced = mounts.sync(session.id, store_id, "a mark", files, writes=True, deletes=True)
    assert [*synced.agreed.files] == ["/a", "/c"]
    ((path, words),) = synced.words
    assert (path, "may hold 5 bytes" in words) == ("/b", True)
    assert mounts.baseline(session.id, store_id) == synced.agreed


def test_a_name_has_only_so_many_objects_of_a_kind(database: Database) -> None:
    limited = Store(database, lease_seconds=30.0, limits=Limits(objects_per_owner=1))

    def add(owner: str) -> list[str]:
        definition: dict[str, Any] = {"metadata": {}}
        adders: list[Callable[[], object]] = [
            lambda: limited.agents.add(new_id("agent"), definition, owner=owner, shared=False),
            lambda: limited.environments.add(new_id("env"), definition, owner=owner, shared=False),
            lambda: limited.memory_stores.add(new_id("memstore"), definition, owner=owner),
        ]
        refused = []
        for adder in adders:
            try:
                adder()
            except InvalidRequest as refusal:
                refused.append(str(refusal.details["error_code"]))
        return refused

    assert [add("emma"), add("emma"), add("fritz"), add(""), add("")] == [
        [],
        ["storage_quota_exceeded"] * 3,
        [],
        [],
        [],
    ]
