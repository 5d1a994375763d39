"""Memory stores among the resources of a session, as they were when the session was made."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from app.errors import InvalidRequest
from app.managed.id_validation import checked
from app.managed.memory.memory_bodies import Attached
from app.store.memory_store import MemoryStores

Json = dict[str, Any]

MOST: Final = 8
"""Memory stores of one session."""

FOLDER: Final = "memory"
"""Below the session's working directory; the API calls it /mnt/memory."""


def attached(stores: MemoryStores, given: Sequence[Attached], *, owner: str | None) -> list[Json]:
    """The facts that a session keeps of its memory stores. NotFound; InvalidRequest for one that is archived, or comes
    twice."""
    if len(given) > MOST:
        raise InvalidRequest(f"resources: a session has at most {MOST} memory stores")
    kept: list[Json] = []
    for index, one in enumerate(given):
        found = stores.get(checked("memstore", one.memory_store_id), owner=owner)
        if found.archived_at is not None:
            raise InvalidRequest(f"resources[{index}]: Memory store {found.id} is archived.")
        if any(found.id == other["memory_store_id"] for other in kept):
            raise InvalidRequest(f"resources[{index}]: Memory store {found.id} is attached twice.")
        kept.append(
            {
                "memory_store_id": found.id,
                "name": found.definition["name"],
                "description": found.definition["description"],
                "access": one.access or "read_write",
                "instructions": one.instructions,
                "slug": _slug(found.definition["name"], {other["slug"] for other in kept}),
            }
        )
    return kept


def attached_to(settings: Mapping[str, Any]) -> Sequence[Json]:
    """A session of an earlier version has none."""
    stores: Sequence[Json] = settings.get("memory_stores", ())
    return stores


def folder_of(kept: Mapping[str, Any]) -> str:
    """Where the memories lie, below the session's working directory."""
    return f"{FOLDER}/{kept['slug']}"


def memory_resources(settings: Mapping[str, Any]) -> list[Json]:
    """As the API answers them: without an id, and without times."""
    names = ("memory_store_id", "name", "description", "access", "instructions")
    return [
        {
            "type": "memory_store",
            **{name: one[name] for name in names},
            "mount_path": f"/mnt/{folder_of(one)}",
        }
        for one in attached_to(settings)
    ]


def memory_notes(settings: Mapping[str, Any]) -> str:
    """Words for the model about the session's memory stores; empty if it has none."""
    stores = attached_to(settings)
    if not stores:
        return ""
    head = (
        "Memory stores are directories of text files that outlast this session. Look there for what is known already "
        "before you begin. Files that you write there are kept for later sessions, and for others: only UTF-8 text, "
        "at most 100 KB a file. A read-only store can't be changed."
    )
    return "\n\n".join(["# Memory", head, *map(_note, stores)])


def _note(kept: Json) -> str:
    access = "read-only" if kept["access"] == "read_only" else "you may write there"
    lines = [
        f"## {kept['name']}",
        f"`{folder_of(kept)}/` ({access})",
        kept["description"],
        kept["instructions"],
    ]
    return "\n".join(line for line in lines if line)


def _slug(name: str, taken: set[str]) -> str:
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "memory"
    plain, number = plain[:200], 1
    slug = plain
    while slug in taken:
        number += 1
        slug = f"{plain}-{number}"
    return slug
