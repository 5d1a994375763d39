"""Sessions and their events as the Managed Agents API answers them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.conversation.outcome import Outcome
from app.conversation.session_thread import SessionThread
from app.managed.files.resource_json import resource_json
from app.managed.memory.attached_stores import memory_resources
from app.managed.outcome_events import outcome_json
from app.managed.pending_calls import RESOLVED
from app.managed.rosters import member_of, thread_agent
from app.managed.teams import key_of
from app.managed.times import moment, times_json
from app.managed.usage import Spent, spent_of
from app.managed_ids import thread_id
from app.store.definitions import Defined
from app.store.managed_sessions import ManagedSession
from app.store.resource_store import Resource
from app.store.told_events import Told

Json = dict[str, Any]


def session_agent(stored: Defined, definition: Json | None = None) -> Json:
    """The agent of a session: without metadata and times. `definition` stands for the stored one."""
    given = stored.definition if definition is None else definition
    kept = {name: value for name, value in given.items() if name != "metadata"}
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


def thread_json(found: ManagedSession, others: Sequence[SessionThread]) -> Json:
    """The primary thread, which every session has, and which has the session's own state. `others` are the threads
    below it, which have used a part of what the session has."""
    whole, spent = session_json(found), spent_of(found)
    for one in others:
        spent = spent.without(one.usage, one.session.cost)
    return {
        "id": thread_id(found.session.id),
        "type": "session_thread",
        "session_id": whole["id"],
        "parent_thread_id": None,
        "agent": thread_agent(whole["agent"]),
        "status": whole["status"],
        "stats": {**whole["stats"], "startup_seconds": 0.0},
        "usage": _thread_usage(spent),
        "workflow_run_id": None,
        "created_at": whole["created_at"],
        "updated_at": whole["updated_at"],
        "archived_at": whole["archived_at"],
    }


def child_thread_json(found: ManagedSession, thread: SessionThread) -> Json:
    """A thread of a member of the roster. It ends with its session at the latest."""
    used, active = thread.usage, round(thread.active_seconds, 3)
    ended_at = found.archived_at if thread.ended_at is None else thread.ended_at
    duration = (thread.read_at if ended_at is None else ended_at) - thread.session.created_at
    spent = Spent(active_seconds=active).with_call(used, thread.session.cost)
    return {
        "id": thread_id(thread.session.id),
        "type": "session_thread",
        "session_id": key_of(found.session.id),
        "parent_thread_id": thread_id(found.session.id),
        "agent": member_of(found.settings["agent"], thread.agent),
        "status": status_of_thread(found, thread),
        "stats": {
            "active_seconds": active,
            "duration_seconds": round(max(0.0, duration), 3),
            "startup_seconds": 0.0,
        },
        "usage": _thread_usage(spent),
        "workflow_run_id": None,
        "created_at": moment(thread.session.created_at),
        "updated_at": moment(thread.updated_at),
        "archived_at": moment(ended_at),
    }


def _thread_usage(spent: Spent) -> Json:
    return {name: value for name, value in spent.json().items() if name != "server_tool_use"}


def status_of_thread(found: ManagedSession, thread: SessionThread) -> str:
    return "terminated" if found.archived_at is not None else thread.status


def status_of(found: ManagedSession) -> str:
    if found.archived_at is not None:
        return "terminated"
    if found.at_work:
        return "rescheduling" if found.is_rescheduled else "running"
    return "idle"


def event_json(event: Told) -> Json:
    told = {name: value for name, value in event.body.items() if name != RESOLVED}
    return {"id": event.id, "type": event.type, "processed_at": moment(event.processed_at), **told}
