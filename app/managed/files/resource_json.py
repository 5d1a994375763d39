"""Resources of a session as the Managed Agents API answers them, and as the model is told of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.managed.times import moment
from app.store.resource_store import Resource

Json = dict[str, Any]


def resource_json(resource: Resource) -> Json:
    file = {} if resource.file_id is None else {"file_id": resource.file_id}
    return {
        "id": resource.id,
        **resource.settings,
        **file,
        "mount_path": resource.mount_path,
        "created_at": moment(resource.created_at),
        "updated_at": moment(resource.updated_at),
    }


def file_notes(settings: Mapping[str, Any]) -> str:
    """The paragraph that tells the model where files lie; empty if there is nothing to be told. It is made of settings
    that never change, so the prompt does not change either."""
    mounts = settings.get("mounts", {})
    notes = []
    if files := mounts.get("files"):
        lines = "\n".join(f"- {path} ({size} bytes, {kind})" for path, size, kind in files)
        notes.append(
            "Files that the user has provided. They can only be read, and lie below your working directory, where "
            f"uploads is what the user may call /mnt/session/uploads:\n{lines}"
        )
    if cloned := mounts.get("repositories"):
        lines = "\n".join(f"- {path}: {url}" for url, path in cloned)
        notes.append(f"Repositories that are cloned below your working directory:\n{lines}")
    if mounts.get("writes"):
        notes.append(
            "Files for the user go into outputs below your working directory, which the user may call "
            "/mnt/session/outputs."
        )
    return "\n\n".join(notes)
