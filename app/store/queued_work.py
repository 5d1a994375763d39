"""How work is queued for a session, in the transaction that makes it necessary."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import text

from app.managed_ids import new_id
from app.store.prepared_statements import Prepared

Json = dict[str, Any]

LEASE_SECONDS: Final = 60
"""The lease of a worker that has said nothing else."""

QUEUE_WORK: Final = Prepared(
    text(
        "INSERT INTO work_items (id, session_id, environment_id, state, metadata_json, created_at, queued_at, "
        "ttl_seconds, attempts) VALUES (:id, :session_id, :environment_id, 'queued', '{}', :created_at, :created_at, "
        ":ttl_seconds, :attempts) ON CONFLICT DO NOTHING"
    )
)
"""A session that has an item, or whose last one has left something to see to, gets no other one."""


def new_work(session_id: str, environment_id: str, *, at: float, attempts: int = 0) -> Json:
    """The values for `QUEUE_WORK`."""
    return {
        "id": new_id("work"),
        "session_id": session_id,
        "environment_id": environment_id,
        "created_at": at,
        "ttl_seconds": LEASE_SECONDS,
        "attempts": attempts,
    }
