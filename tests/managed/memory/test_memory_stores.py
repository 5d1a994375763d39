"""Memory stores and their memories, through the official SDK."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import anthropic
import pytest

from app.factory import Server
from tests.managed.conftest import Sdk
from tests.managed.test_door import HEADERS

NOBODY = "0" + "1" * 23


@pytest.fixture
def store(sdk: Sdk) -> str:
    return sdk.beta.memory_stores.create(name="Notes").id


def test_a_store_is_made_changed_archived_and_deleted(sdk: Sdk) -> None:
    made = sdk.checked(sdk.beta.memory_stores.create(name="User notes", metadata={"a": "1"}))
    assert (made.name, made.description, made.metadata) == ("User notes", "", {"a": "1"})
    changed = sdk.checked(
        sdk.beta.memory_stores.update(made.id, description="What she likes", metadata={"a": None, "b": "2"})
    )
    assert (changed.name, changed.description, changed.metadata) == (
        "User notes",
        "What she likes",
        {"b": "2"},
    )
    again = sdk.beta.memory_stores.update(made.id, description="What she likes", name=None, metadata=None)
    assert (again.name, again.updated_at) == ("User notes", changed.updated_at)
    assert sdk.checked(sdk.beta.memory_stores.update(made.id, description=None)).description == ""
    assert sdk.checked(sdk.beta.memory_stores.retrieve(made.id)).id == made.id
    memory = sdk.beta.memory_stores.memories.create(made.id, path="/a", content="x")
    archived = sdk.checked(sdk.beta.memory_stores.archive(made.id))
    assert archived.archived_at == archived.updated_at
    assert sdk.beta.memory_stores.archive(made.id).archived_at == archived.archived_at
    refused: list[Callable[[], object]] = [
        lambda: sdk.beta.memory_stores.update(made.id, name="x"),
        lambda: sdk.beta.memory_stores.memories.create(made.id, path="/b", content="x"),
        lambda: sdk.beta.memory_stores.memories.update(memory.id, memory_store_id=made.id, content="y"),
    ]
    for call in refused:
        with pytest.raises(anthropic.BadRequestError, match=f"Memory store {made.id} is archived"):
            call()
    assert sdk.beta.memory_stores.memories.retrieve(memory.id, memory_store_id=made.id).content == "x"
    sdk.beta.memory_stores.memories.delete(memory.id, memory_store_id=made.id)
    gone = sdk.checked(sdk.beta.memory_stores.delete(made.id))
    assert (gone.id, gone.type) == (made.id, "memory_store_deleted")
    with pytest.raises(anthropic.NotFoundError, match="Memory store not found"):
        sdk.beta.memory_stores.retrieve(made.id)


def test_stores_are_listed_newest_first(sdk: Sdk) -> None:
    made = [sdk.beta.memory_stores.create(name=f"list {number}").id for number in range(3)][::-1]
    first = sdk.checked(sdk.beta.memory_stores.list(limit=2))
    assert [one.id for one in first.data] == made[:2]
    second = sdk.beta.memory_stores.list(limit=1, page=first.next_page or "")
    assert [one.id for one in second.data] == made[2:]
    sdk.beta.memory_stores.archive(made[1])
    assert made[1] not in [one.id for one in sdk.beta.memory_stores.list(limit=100)]
    assert made[1] in [one.id for one in sdk.beta.memory_stores.list(limit=100, include_archived=True)]
    newest = sdk.beta.memory_stores.retrieve(made[0])
    late = sdk.beta.memory_stores.list(created_at_gte=newest.created_at)
    assert [one.id for one in late] == made[:1]


def test_a_memory_is_made_read_changed_and_deleted(sdk: Sdk, store: str) -> None:
    memories = sdk.beta.memory_stores.memories
    made = sdk.checked(memories.create(store, path="/likes/tea.md", content="green ü"))
    assert (made.path, made.content) == ("/likes/tea.md", None)
    assert made.content_sha256 == hashlib.sha256("green ü".encode()).hexdigest()
    assert made.content_size_bytes == 8
    assert sdk.checked(memories.retrieve(made.id, memory_store_id=store)).content == "green ü"
    basic = sdk.checked(memories.retrieve(made.id, memory_store_id=store, view="basic"))
    assert basic.content is None
    changed = sdk.checked(
        memories.update(
            made.id,
            memory_store_id=store,
            content="black",
            path="/tea",
            view="full",
            precondition={"type": "content_sha256", "content_sha256": made.content_sha256},
        )
    )
    assert (changed.id, changed.path, changed.content) == (made.id, "/tea", "black")
    assert changed.memory_version_id != made.memory_version_id
    same = memories.update(made.id, memory_store_id=store, content="black", path=None)
    assert (same.memory_version_id, same.updated_at) == (changed.memory_version_id, changed.updated_at)
    http = sdk.patch(
        f"/v1/memory_stores/{store}/memories/{made.id}",
        body={"path": "/coffee"},
        options={"headers": HEADERS},
        cast_to=object,
    )
    assert (sdk.sent["path"], sdk.sent["content"], bool(http)) == ("/coffee", None, True)
    empty = memories.create(store, path="/empty", content=None, view="full")
    assert (empty.content, empty.content_size_bytes) == ("", 0)
    gone = sdk.checked(memories.delete(made.id, memory_store_id=store))
    assert (gone.id, gone.type) == (made.id, "memory_deleted")
    with pytest.raises(anthropic.NotFoundError, match="Memory not found"):
        memories.retrieve(made.id, memory_store_id=store)
    assert memories.create(store, path="/coffee", content="").id != made.id


def test_what_stands_in_the_way_is_named(sdk: Sdk, store: str) -> None:
    """Memories are files, too: none lies below another."""
    memories = sdk.beta.memory_stores.memories
    first = memories.create(store, path="/a/b", content="1")
    other = memories.create(store, path="/a-b", content="2")
    for path in ("/a/b", "/a", "/a/b/c"):
        calls: list[Callable[[], object]] = [
            lambda path=path: memories.create(store, path=path, content="3"),  # type: ignore[misc]
            lambda path=path: memories.update(other.id, memory_store_id=store, path=path),  # type: ignore[misc]
        ]
        for call in calls:
            with pytest.raises(anthropic.ConflictError):
                call()
            error = sdk.sent["error"]
            assert error["type"] == "memory_path_conflict_error"
            assert (error["conflicting_memory_id"], error["conflicting_path"]) == (first.id, "/a/b")
    assert memories.update(first.id, memory_store_id=store, path="/a/b/c").path == "/a/b/c"
    assert memories.update(first.id, memory_store_id=store, path="/a").path == "/a"


def test_a_precondition_that_does_not_hold_changes_nothing(sdk: Sdk, store: str) -> None:
    memories = sdk.beta.memory_stores.memories
    made = memories.create(store, path="/a", content="1")
    other = "0" * 64
    calls: list[Callable[[], object]] = [
        lambda: memories.update(
            made.id,
            memory_store_id=store,
            path="/b",
            precondition={"type": "content_sha256", "content_sha256": other},
        ),
        lambda: memories.delete(made.id, memory_store_id=store, expected_content_sha256=other),
    ]
    for call in calls:
        with pytest.raises(anthropic.ConflictError):
            call()
        assert sdk.sent["error"]["type"] == "memory_precondition_failed_error"
    assert memories.retrieve(made.id, memory_store_id=store).path == "/a"
    memories.delete(made.id, memory_store_id=store, expected_content_sha256=made.content_sha256)


def test_memories_are_listed_by_path(sdk: Sdk, store: str) -> None:
    memories = sdk.beta.memory_stores.memories
    paths = ["/B", "/a", "/b-c", "/b/1", "/b/2/x", "/b/2/y", "/b0", "/ä", "/𝄞"]  # by their bytes
    for path in reversed(paths):
        memories.create(store, path=path, content=f"in {path}")
    for limit in (1, 2, 100):
        assert [one.path for one in memories.list(store, limit=limit)] == paths
    sdk.checked(memories.list(store))
    assert [one["content"] for one in sdk.sent["data"]] == [None] * len(paths)
    full: Any = memories.list(store, view="full", path_prefix="/b/")
    sdk.checked(full)
    assert [one.content for one in full] == ["in /b/1", "in /b/2/x", "in /b/2/y"]
    shallow = [(one.type, one.path) for one in memories.list(store, depth=1, path_prefix="/")]
    expected = [("memory_prefix" if path == "/b/" else "memory", path) for path in paths if path[1:3] != "b/"]
    expected.insert(3, ("memory_prefix", "/b/"))
    assert shallow == expected
    for limit in (1, 2, 3):
        assert [(one.type, one.path) for one in memories.list(store, depth=1, limit=limit)] == expected
    sdk.checked(memories.list(store, depth=1))
    inner = [(one.type, one.path) for one in memories.list(store, depth=1, path_prefix="/b/", limit=1)]
    assert inner == [("memory", "/b/1"), ("memory_prefix", "/b/2/")]
    assert list(memories.list(store, path_prefix="/none/")) == []


def test_a_page_with_contents_is_short(sdk: Sdk, store: str) -> None:
    for number in range(21):
        sdk.beta.memory_stores.memories.create(store, path=f"/{number:02}", content="x")
    page = sdk.beta.memory_stores.memories.list(store, view="full", limit=100)
    assert (len(page.data), page.next_page is not None) == (20, True)
    versions = sdk.beta.memory_stores.memory_versions.list(store, view="full", limit=100)
    assert (len(versions.data), versions.next_page is not None) == (20, True)


def test_the_longest_path_and_the_largest_content_are_taken(sdk: Sdk, store: str) -> None:
    memories = sdk.beta.memory_stores.memories
    longest = "/" + "ü" * 511 + "a"
    made = memories.create(store, path=longest, content="x" * 102_400)
    assert (made.path, made.content_size_bytes) == (longest, 102_400)
    assert memories.create(store, path="/a" * 20, content="x").path == "/a" * 20
    assert [one.path for one in memories.list(store, limit=1)] == ["/a" * 20, longest]


def test_a_store_takes_only_so_many_memories(sdk: Sdk, store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.store.memory_rows.MOST", 2)
    for path in ("/a", "/b"):
        sdk.beta.memory_stores.memories.create(store, path=path, content="")
    with pytest.raises(anthropic.BadRequestError, match="at most 2 memories"):
        sdk.beta.memory_stores.memories.create(store, path="/c", content="")


def test_another_names_store_is_not_there(company: Server) -> None:
    with (
        Sdk(company, "ann-has-this-token") as ann,
        Sdk(company, "ben-has-this-token") as ben,
        Sdk(company, "rita-has-this-token") as rita,
        Sdk(company, "olga-has-this-token") as olga,
    ):
        store = ann.beta.memory_stores.create(name="Mine").id
        memory = ann.beta.memory_stores.memories.create(store, path="/a", content="1")
        olgas = olga.beta.memory_stores.create(name="Hers").id
        stores, memories = ben.beta.memory_stores, ben.beta.memory_stores.memories
        versions = ben.beta.memory_stores.memory_versions
        version = memory.memory_version_id
        calls: list[Callable[[], object]] = [
            lambda: stores.retrieve(store),
            lambda: stores.retrieve(olgas),
            lambda: stores.update(store, name="x"),
            lambda: stores.archive(store),
            lambda: stores.delete(store),
            lambda: memories.create(store, path="/b", content=""),
            lambda: memories.list(store),
            lambda: memories.retrieve(memory.id, memory_store_id=store),
            lambda: memories.update(memory.id, memory_store_id=store, content="x"),
            lambda: memories.delete(memory.id, memory_store_id=store),
            lambda: versions.list(store),
            lambda: versions.list(store, service_account_id="svac_x"),
            lambda: versions.retrieve(version, memory_store_id=store),
            lambda: versions.redact(version, memory_store_id=store),
        ]
        for call in calls:
            with pytest.raises(anthropic.NotFoundError, match="Memory store not found"):
                call()
        own = stores.create(name="His").id
        with pytest.raises(anthropic.NotFoundError, match="Memory not found"):
            memories.retrieve(memory.id, memory_store_id=own)
        with pytest.raises(anthropic.NotFoundError, match="Memory version not found"):
            versions.retrieve(version, memory_store_id=own)
        assert [one.id for one in stores.list()] == [own]
        with pytest.raises(anthropic.PermissionDeniedError):
            rita.beta.memory_stores.create(name="x")
        with pytest.raises(anthropic.PermissionDeniedError):
            rita.patch(f"/v1/memory_stores/{store}/memories/{memory.id}", body={}, cast_to=object)
        assert rita.beta.memory_stores.retrieve(store).name == "Mine"
        assert olga.beta.memory_stores.memories.retrieve(memory.id, memory_store_id=store).content == "1"
        assert olga.beta.memory_stores.memories.update(memory.id, memory_store_id=store, content="2").id


def test_an_unknown_id_is_not_found(sdk: Sdk, store: str) -> None:
    for call, words in (
        (lambda: sdk.beta.memory_stores.retrieve(f"memstore_{NOBODY}"), "Memory store not found"),
        (
            lambda: sdk.beta.memory_stores.memories.retrieve(f"mem_{NOBODY}", memory_store_id=store),
            "Memory not found",
        ),
        (
            lambda: sdk.beta.memory_stores.memory_versions.redact(f"memver_{NOBODY}", memory_store_id=store),
            "Memory version not found",
        ),
    ):
        with pytest.raises(anthropic.NotFoundError, match=words):
            call()
