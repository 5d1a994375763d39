"""Sessions and their events as the Managed Agents API answers them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.conversation.outcome import Outcome
from app.door_ids import thread_id
from app.managed.decisions import RESOLVED
from app.managed.files.resource_json import resource_json
from app.managed.memory.attached_stores import memory_resources
from app.managed.outcomes import outcome_json
from app.managed.teams import key_of
from app.managed.times import moment, times_json
from app.managed.usage import spent_of
from app.store.definitions import Defined
from app.store.managed_sessions import ManagedSession
from app.store.resource_store import Resource
from app.store.told_events import Told

Json = dict[str, Any]


def session_agent(stored: Defined, definition: Json) -> Json:
    """The agent of a session: without metadata and times."""
    kept = {name: value for name, value in definition.items() if name != "metadata"}
    return {"id": stored.id, "type": "agent", "version": stored.version, **kept}


def session_json(
    found: ManagedSession, resources: Sequence[Resource] = (), outcomes: Sequence[Outcome] = ()
) -> Json:
    spent, ended = spent_of(found), found.archived_at
    return {
        "id": key_of(found.session.id),
        "type": "session",
        "status": status_of(found),
        "title": found.session.title or None,
        "agent": found.settings["agent"],
        "environment_id": found.environment_id,
        "metadata": found.settings["metadata"],
        "resources": [*map(resource_json, resources), *memory_resources(found.settings)],
        "vault_ids": found.settings.get("vault_ids", []),
        "budget": found.settings.get("budget"),
        "outcome_evaluations": [outcome_json(one) for one in outcomes],
        "usage": spent.json(),
        "stats": {
            "active_seconds": round(spent.active_seconds, 3),
            "duration_seconds": round(max(0.0, (ended or found.read_at) - found.created_at), 3),
        },
        "deployment_id": None,
        **times_json(found),
    }


def thread_json(found: ManagedSession) -> Json:
    """The primary thread, which every session has, and which has the session's own state."""
    whole = session_json(found)
    usage = {name: value for name, value in whole["usage"].items() if name != "server_tool_use"}
    return {
        "id": thread_id(found.session.id),
        "type": "session_thread",
        "session_id": whole["id"],
        "parent_thread_id": None,
        "agent": {name: value for name, value in whole["agent"].items() if name != "multiagent"},
        "status": whole["status"],
        "stats": {**whole["stats"], "startup_seconds": 0.0},
        "usage": usage,
        "workflow_run_id": None,
        "created_at": whole["created_at"],
        "updated_at": whole["updated_at"],
        "archived_at": whole["archived_at"],
    }


def status_of(found: ManagedSession) -> str:
    if found.archived_at is not None:
        return "terminated"
    if found.at_work:
        return "rescheduling" if found.is_rescheduled else "running"
    return "idle"


def event_json(event: Told) -> Json:
    told = {name: value for name, value in event.body.items() if name != RESOLVED}
    return {"id": event.id, "type": event.type, "processed_at": moment(event.processed_at), **told}
