"""Versions of memories and their authors, through the official SDK."""

from __future__ import annotations

from collections.abc import Callable

import anthropic
import pytest

from app.factory import Server
from tests.managed.conftest import Sdk


def test_each_change_adds_a_version_and_nothing_else_does(company: Server) -> None:
    with Sdk(company, "ann-has-this-token") as ann, Sdk(company, "olga-has-this-token") as olga:
        store = ann.beta.memory_stores.create(name="Notes").id
        memories, versions = ann.beta.memory_stores.memories, ann.beta.memory_stores.memory_versions
        first = memories.create(store, path="/a", content="1")
        other = memories.create(store, path="/other", content="o")
        memories.update(first.id, memory_store_id=store, content="1")  # as it is
        olga.beta.memory_stores.memories.update(first.id, memory_store_id=store, content="2", path="/b")
        memories.delete(first.id, memory_store_id=store)
        listed = ann.checked(versions.list(store, memory_id=first.id))
        assert [(one.operation, one.path, one.content) for one in listed.data] == [
            ("deleted", "/b", None),
            ("modified", "/b", None),
            ("created", "/a", None),
        ]
        assert [one["created_by"] for one in ann.sent["data"]] == [
            {"type": "api_actor", "api_key_id": "apikey_ann"},
            {"type": "api_actor", "api_key_id": "apikey_olga"},
            {"type": "api_actor", "api_key_id": "apikey_ann"},
        ]
        gone, changed, made = listed.data
        assert (gone.content_sha256, gone.content_size_bytes) == (None, None)
        assert made.id == first.memory_version_id
        assert (made.content_sha256, made.content_size_bytes) == (first.content_sha256, 1)
        assert ann.checked(versions.retrieve(changed.id, memory_store_id=store)).content == "2"
        basic = ann.checked(versions.retrieve(changed.id, memory_store_id=store, view="basic"))
        assert (basic.content, basic.content_size_bytes) == (None, 1)
        full = ann.checked(versions.list(store, memory_id=first.id, view="full"))
        assert [one.content for one in full.data] == [None, "2", "1"]
        everything = [gone.id, changed.id, other.memory_version_id, made.id]
        for limit in (1, 3, 20):
            assert [one.id for one in versions.list(store, limit=limit)] == everything
        assert [one.id for one in versions.list(store, operation="created")] == everything[2:]
        assert [one.id for one in versions.list(store, api_key_id="apikey_olga")] == [changed.id]
        assert list(versions.list(store, api_key_id="olga")) == []
        assert list(versions.list(store, service_account_id="svac_1")) == []
        assert list(versions.list(store, session_id="sesn_" + "0" + "1" * 23)) == []
        assert [one.id for one in versions.list(store, created_at_gte=made.created_at)][-1] == made.id
        assert [one.id for one in versions.list(store, created_at_lte=made.created_at)][-1] == made.id


def test_a_redacted_version_tells_only_that_it_was_there(sdk: Sdk) -> None:
    store = sdk.beta.memory_stores.create(name="Notes").id
    memories, versions = sdk.beta.memory_stores.memories, sdk.beta.memory_stores.memory_versions
    made = memories.create(store, path="/secret", content="her address")
    with pytest.raises(anthropic.BadRequestError, match="holds the content of a memory"):
        versions.redact(made.memory_version_id, memory_store_id=store)
    head = memories.update(made.id, memory_store_id=store, content="nothing", path="/plain")
    redacted = sdk.checked(versions.redact(made.memory_version_id, memory_store_id=store))
    assert redacted.redacted_at is not None
    assert sdk.sent["redacted_by"] == {"type": "api_actor", "api_key_id": "apikey_anybody"}
    assert sdk.sent["created_by"] == {"type": "api_actor", "api_key_id": "apikey_anybody"}
    whole = sdk.checked(versions.retrieve(made.memory_version_id, memory_store_id=store))
    assert (whole.path, whole.content, whole.content_sha256, whole.content_size_bytes) == (None,) * 4
    again = versions.redact(made.memory_version_id, memory_store_id=store)
    assert again.redacted_at == redacted.redacted_at
    assert memories.retrieve(made.id, memory_store_id=store).content == "nothing"
    memories.delete(made.id, memory_store_id=store)
    for version in versions.list(store):
        assert versions.redact(version.id, memory_store_id=store).path is None
    assert head.memory_version_id in [one.id for one in versions.list(store)]


def test_a_name_has_room_for_so_many_bytes_in_all_versions_of_its_stores(
    company: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(company.store.memories, "_limit", 10)
    with Sdk(company, "ben-has-this-token") as ben, Sdk(company, "olga-has-this-token") as olga:
        one, two = (ben.beta.memory_stores.create(name=name).id for name in ("one", "two"))
        memories = ben.beta.memory_stores.memories
        first = memories.create(one, path="/a", content="12345")
        second = memories.create(two, path="/a", content="ü")
        calls: list[Callable[[], object]] = [
            lambda: memories.create(two, path="/b", content="1234"),
            lambda: memories.update(second.id, memory_store_id=two, content="1234"),
            lambda: olga.beta.memory_stores.memories.create(two, path="/b", content="1234"),
        ]
        for call in calls:
            with pytest.raises(anthropic.BadRequestError, match="may hold 10 bytes"):
                call()
        with pytest.raises(anthropic.BadRequestError):
            memories.create(two, path="/b", content="1234")
        assert ben.sent["error"]["details"] == {"error_code": "storage_quota_exceeded"}
        assert memories.update(first.id, memory_store_id=one, content="123").content_size_bytes == 3
        ben.beta.memory_stores.memory_versions.redact(first.memory_version_id, memory_store_id=one)
        memories.create(two, path="/b", content="1234")
        ben.beta.memory_stores.delete(one)
        memories.create(two, path="/c", content="123")
        theirs = olga.beta.memory_stores.create(name="hers").id
        assert olga.beta.memory_stores.memories.create(theirs, path="/a", content="1234567890").id
