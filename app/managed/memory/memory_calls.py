"""Memory stores of the Managed Agents API, the memories in them, and their versions."""

from __future__ import annotations

from typing import Any

from flask import Response

from app.managed.bodies import patched, read
from app.managed.calls import Calls, delete, get, patch, post
from app.managed.id_validation import checked
from app.managed.memory.actors import own_actor
from app.managed.memory.memory_bodies import (
    CreateMemory,
    CreateStore,
    UpdateMemory,
    UpdateStore,
    changed,
)
from app.managed.memory.memory_json import entry_json, memory_json, store_json, version_json
from app.managed.memory.memory_queries import (
    expected_digest,
    listing,
    listing_cursor,
    versions,
    wants_content,
)
from app.managed.paging import page_json, window
from app.managed.worker_access import WorkerAccess
from app.managed_ids import new_id
from app.store.store import Store
from app.web.access import own_name, owner
from app.web.response_json import json_response
from app.web.worker_routes import OF_ITEM

Json = dict[str, Any]


class MemoryStoreCalls(Calls):
    prefix = "/v1/memory_stores"

    def __init__(self, store: Store) -> None:
        self._stores = store.memory_stores

    @post("")
    def create(self) -> Response:
        body = read(CreateStore)
        made = {"name": body.name, "description": body.description or "", "metadata": body.metadata}
        return json_response(store_json(self._stores.add(new_id("memstore"), made, owner=own_name())))

    @get("")
    def page(self) -> Response:
        asked = window()
        rows = self._stores.page(asked, owner=owner())
        return json_response(page_json(rows, asked, store_json, lambda one: (one.created_at, one.id)))

    @get("/<store_id>")
    def retrieve(self, store_id: str) -> Response:
        return json_response(store_json(self._stores.get(checked("memstore", store_id), owner=owner())))

    @post("/<store_id>")
    def update(self, store_id: str) -> Response:
        body = read(UpdateStore)
        found = self._stores.change(
            checked("memstore", store_id),
            lambda before: changed(
                before.definition, body, patched(before.definition["metadata"], body.metadata or {})
            ),
            owner=owner(),
        )
        return json_response(store_json(found))

    @post("/<store_id>/archive")
    def archive(self, store_id: str) -> Response:
        return json_response(store_json(self._stores.archive(checked("memstore", store_id), owner=owner())))

    @delete("/<store_id>")
    def delete(self, store_id: str) -> Response:
        self._stores.delete(checked("memstore", store_id), owner=owner())
        return json_response({"id": store_id, "type": "memory_store_deleted"})


class MemoryCalls(Calls):
    prefix = "/v1/memory_stores/<store_id>/memories"

    def __init__(self, store: Store) -> None:
        self._memories = store.memories
        self._workers = WorkerAccess(store.managed)

    @post("", workers=[OF_ITEM])
    def create(self, store_id: str) -> Response:
        self._workers.require_store(store_id, writes=True)
        body, content = read(CreateMemory), wants_content()
        made = self._memories.create(
            checked("memstore", store_id), body.path, body.content or "", by=own_actor(), owner=owner()
        )
        return json_response(memory_json(made, content=content))

    @get("", workers=[OF_ITEM])
    def page(self, store_id: str) -> Response:
        self._workers.require_store(store_id)
        asked = listing()
        rows = self._memories.page(checked("memstore", store_id), asked, owner=owner())
        shown = rows[: asked.limit]
        behind = listing_cursor(shown[-1]) if len(rows) > asked.limit else None
        return json_response({"data": [entry_json(one) for one in shown], "next_page": behind})

    @get("/<memory_id>", workers=[OF_ITEM])
    def retrieve(self, store_id: str, memory_id: str) -> Response:
        self._workers.require_store(store_id)
        content = wants_content(default=True)
        found = self._memories.get(checked("memstore", store_id), checked("mem", memory_id), owner=owner())
        return json_response(memory_json(found, content=content))

    @post("/<memory_id>", workers=[OF_ITEM])
    @patch("/<memory_id>", workers=[OF_ITEM])
    def update(self, store_id: str, memory_id: str) -> Response:
        self._workers.require_store(store_id, writes=True)
        body, content = read(UpdateMemory), wants_content()
        found = self._memories.change(
            checked("memstore", store_id),
            checked("mem", memory_id),
            path=body.path,
            content=body.content,
            expected=body.precondition.content_sha256 if body.precondition else None,
            by=own_actor(),
            owner=owner(),
        )
        return json_response(memory_json(found, content=content))

    @delete("/<memory_id>", workers=[OF_ITEM])
    def delete(self, store_id: str, memory_id: str) -> Response:
        self._workers.require_store(store_id, writes=True)
        self._memories.delete(
            checked("memstore", store_id),
            checked("mem", memory_id),
            expected=expected_digest(),
            by=own_actor(),
            owner=owner(),
        )
        return json_response({"id": memory_id, "type": "memory_deleted"})


class MemoryVersionCalls(Calls):
    prefix = "/v1/memory_stores/<store_id>/memory_versions"

    def __init__(self, store: Store) -> None:
        self._history = store.memory_history
        self._stores = store.memory_stores

    @get("")
    def page(self, store_id: str) -> Response:
        wanted, asked = versions()
        number = checked("memstore", store_id)
        if wanted is None:
            self._stores.get(number, owner=owner())
            return json_response({"data": [], "next_page": None})
        rows = self._history.page(number, wanted, owner=owner())
        answer = page_json(
            rows, asked, lambda one: version_json(one, content=True), lambda one: (float(one.number), one.id)
        )
        return json_response(answer)

    @get("/<version_id>")
    def retrieve(self, store_id: str, version_id: str) -> Response:
        content = wants_content(default=True)
        found = self._history.get(checked("memstore", store_id), checked("memver", version_id), owner=owner())
        return json_response(version_json(found, content=content))

    @post("/<version_id>/redact")
    def redact(self, store_id: str, version_id: str) -> Response:
        found = self._history.redact(
            checked("memstore", store_id), checked("memver", version_id), by=own_actor(), owner=owner()
        )
        return json_response(version_json(found, content=False))
