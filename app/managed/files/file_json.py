"""Files as the Managed Agents API answers them."""

from __future__ import annotations

from typing import Any

from app.managed.teams import key_of
from app.managed.times import moment
from app.store.file_store import StoredFile

Json = dict[str, Any]


def file_json(found: StoredFile) -> Json:
    """Only a file that goes with a session says so: the SDK's plain form of a file does not know scopes."""
    told: Json = {
        "id": found.id,
        "type": "file",
        "filename": found.filename,
        "mime_type": found.mime_type,
        "size_bytes": found.size_bytes,
        "created_at": moment(found.created_at),
        "downloadable": found.downloadable,
        "expires_at": moment(found.expires_at),
    }
    if found.session_id is not None:
        told["scope"] = {"type": "session", "id": key_of(found.session_id)}
    return told
