"""Memory stores, memories and their versions as the Managed Agents API answers them."""

from __future__ import annotations

from typing import Any

from app.managed.memory.actors import actor_json
from app.managed.times import moment, times_json
from app.store.definitions import Defined
from app.store.memories import Entry
from app.store.memory_history import MemoryVersion
from app.store.memory_rows import Memory

Json = dict[str, Any]


def store_json(found: Defined) -> Json:
    return {"id": found.id, "type": "memory_store", **found.definition, **times_json(found)}


def memory_json(found: Memory, *, content: bool) -> Json:
    return {
        "id": found.id,
        "type": "memory",
        "memory_store_id": found.store_id,
        "path": found.path,
        "content": found.content if content else None,
        "content_sha256": found.sha256,
        "content_size_bytes": found.size,
        "memory_version_id": found.version_id,
        "created_at": moment(found.created_at),
        "updated_at": moment(found.updated_at),
    }


def entry_json(entry: Entry) -> Json:
    if isinstance(entry, str):
        return {"type": "memory_prefix", "path": entry}
    return memory_json(entry, content=True)


def version_json(found: MemoryVersion, *, content: bool) -> Json:
    return {
        "id": found.id,
        "type": "memory_version",
        "memory_store_id": found.store_id,
        "memory_id": found.memory_id,
        "operation": found.operation,
        "path": found.path,
        "content": found.content if content else None,
        "content_sha256": found.sha256,
        "content_size_bytes": found.size,
        "created_at": moment(found.created_at),
        "created_by": actor_json(found.by),
        "redacted_at": moment(found.redacted_at),
        "redacted_by": actor_json(found.redacted_by),
    }
