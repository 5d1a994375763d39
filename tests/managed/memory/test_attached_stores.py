"""Which memory stores a session has, through the official SDK."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest

from tests.managed.conftest import Sdk
from tests.managed.memory.mounted import read_only, session_with

NOBODY = "memstore_0" + "1" * 23


@pytest.fixture
def store(sdk: Sdk) -> str:
    return sdk.beta.memory_stores.create(name="User Notes!", description="What she likes").id


def test_a_session_shows_its_stores_as_they_were(sdk: Sdk, store: str) -> None:
    other = sdk.beta.memory_stores.create(name="user notes").id
    session = session_with(sdk, {**read_only(store), "instructions": "Ask first."}, other)
    sdk.beta.memory_stores.update(store, name="Other")
    sdk.checked(sdk.beta.sessions.retrieve(session.id))
    assert sdk.sent["resources"] == [
        {
            "type": "memory_store",
            "memory_store_id": store,
            "name": "User Notes!",
            "description": "What she likes",
            "access": "read_only",
            "instructions": "Ask first.",
            "mount_path": "/mnt/memory/user-notes",
        },
        {
            "type": "memory_store",
            "memory_store_id": other,
            "name": "user notes",
            "description": "",
            "access": "read_write",
            "instructions": None,
            "mount_path": "/mnt/memory/user-notes-2",
        },
    ]
    without = session_with(sdk)
    listed = sdk.beta.sessions.list(memory_store_id=store)
    assert [one.id for one in listed] == [session.id]
    assert without.id in [one.id for one in sdk.beta.sessions.list(limit=100)]
    assert list(sdk.beta.sessions.list(memory_store_id=NOBODY)) == []
    sdk.beta.memory_stores.delete(store)
    assert [one.id for one in sdk.beta.sessions.list(memory_store_id=store)] == [session.id]


def test_what_can_not_be_attached_is_refused(sdk: Sdk, store: str) -> None:
    archived = sdk.beta.memory_stores.create(name="old").id
    sdk.beta.memory_stores.archive(archived)
    nine = [sdk.beta.memory_stores.create(name=f"n{number}").id for number in range(9)]
    one = {"type": "memory_store", "memory_store_id": store}
    cases: list[tuple[list[Any], type[Exception], str]] = [
        ([NOBODY], anthropic.NotFoundError, "Memory store not found"),
        ([archived], anthropic.BadRequestError, f"Memory store {archived} is archived"),
        (["x"], anthropic.BadRequestError, "Invalid memory store ID"),
        ([store, store], anthropic.BadRequestError, "attached twice"),
        (nine, anthropic.BadRequestError, "at most 8 memory stores"),
        ([{**one, "access": "all"}], anthropic.BadRequestError, r"resources\[0\].access"),
        ([{**one, "instructions": "x" * 4097}], anthropic.BadRequestError, r"resources\[0\].instructions"),
        ([{**one, "mount_path": "/x"}], anthropic.BadRequestError, r"resources\[0\].mount_path: unknown"),
        ([{"type": "memory_store"}], anthropic.BadRequestError, "memory_store_id: field is required"),
    ]
    for given, kind, words in cases:
        with pytest.raises(kind, match=words):
            session_with(sdk, *given)
    assert len(session_with(sdk, *nine[:8]).resources) == 8
    with pytest.raises(anthropic.BadRequestError, match="Invalid memory store ID"):
        sdk.beta.sessions.list(memory_store_id="x")
