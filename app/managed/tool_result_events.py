"""Results of calls that clients and workers make, as they are sent to a session of the Managed Agents API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.conversation.managed_events import WORKER_TOOLS, is_self_hosted
from app.errors import InvalidRequest
from app.managed.content import Parts
from app.managed.event_bodies import CustomToolResult, UserToolResult
from app.managed.event_threads import made_in, thread_named
from app.managed.pending_calls import with_rows
from app.managed_ids import result_event_id
from app.store.managed_sessions import ManagedSession
from app.store.store import Store
from app.store.told_events import Told, event_row

Json = dict[str, Any]


def result_row(
    store: Store,
    found: ManagedSession,
    event: CustomToolResult | UserToolResult,
    resolved: Parts,
    at: float,
    before: Sequence[Json],
) -> Json:
    """InvalidRequest unless it is the result of a call that a client has to make. A second one has the same id, and is
    not stored. `resolved` is its content with what files hold; `before` are events of the same request."""
    session_id = found.session.id
    if isinstance(event, CustomToolResult):
        made = store.told.find(session_id, event.custom_tool_use_id)
        if made is None or made.type != "agent.custom_tool_use":
            raise InvalidRequest(
                f"custom_tool_use_id: there is no custom tool use {event.custom_tool_use_id} in this session"
            )
    else:
        made = _use_of_worker(store, found, event, before)
    call_id = str(made.call_id)
    row_id = result_event_id(made_in(session_id, made), call_id)
    said = {**event.body(resolved), **thread_named(made)}
    return event_row(session_id, row_id, event.type, said, at=at, number=None, call_id=call_id)


def _use_of_worker(
    store: Store, found: ManagedSession, event: UserToolResult, before: Sequence[Json]
) -> Told:
    if not is_self_hosted(found.settings):
        raise InvalidRequest(
            f"events[{len(before)}]: user.tool_result: only sessions in environments of the type self_hosted take "
            "results of tools"
        )
    use = event.tool_use_id
    made = store.told.find(found.session.id, use)
    if made is None or made.type != "agent.tool_use" or made.body["name"] not in WORKER_TOOLS:
        raise InvalidRequest(f"tool_use_id: there is no tool use {use} in this session that a worker makes")
    permission, call_id = made.body.get("evaluated_permission"), str(made.call_id)
    if permission == "ask":
        decided = with_rows(store.decisions.of(found.session.id, [call_id]), before).get(call_id)
        if decided is None or (decided.confirmation is None and decided.result is None):
            raise InvalidRequest(f"tool_use_id: {use} waits for a user.tool_confirmation first")
        permission = "deny" if decided.is_denied else "allow"
    if permission != "allow":
        raise InvalidRequest(f"tool_use_id: {use} was denied")
    return made
