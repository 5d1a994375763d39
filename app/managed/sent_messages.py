"""Messages that a client has sent, which wait for a run, and the events by which they were sent."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from app.conversation.queued_message import QueuedMessage, QueueKind
from app.conversation.system_words import unmarked
from app.managed.content import kind_of
from app.managed.event_bodies import DefineOutcome, SystemMessage, UserMessage
from app.managed.files.file_sources import FileSources
from app.managed_ids import event_id
from app.store.store import Store
from app.store.told_events import event_row

Json = dict[str, Any]


def first_messages(
    store: Store,
    session_id: str,
    given: Sequence[UserMessage | DefineOutcome],
    *,
    by: str,
    sources: FileSources,
) -> tuple[list[QueuedMessage], list[Json]]:
    """Messages that wait for a session's run, and the events by which they were sent."""
    at = store.database.now()
    sent = [
        sent_message(session_id, one, "followup", f"initial_events[{index}]", at=at, by=by, sources=sources)
        for index, one in enumerate(given)
    ]
    return [message for message, _ in sent], [row for _, row in sent]


def sent_message(
    session_id: str,
    given: UserMessage | SystemMessage | DefineOutcome,
    kind: QueueKind,
    place: str,
    *,
    at: float,
    by: str,
    sources: FileSources,
) -> tuple[QueuedMessage, Json]:
    """A message that waits, and the event by which it was sent. `place` is where it stands in the request."""
    match given:
        case UserMessage():
            shown, told = given.blocks(sources.resolved(given.content, place))
        case SystemMessage():
            shown = given.blocks()
            told = [unmarked(block) for block in shown]
        case DefineOutcome():
            shown, told = given.blocks(), []
    message = QueuedMessage(uuid.uuid4().hex, session_id, kind, tuple(shown), at, by)
    return message, outcome_row(message, given) if isinstance(given, DefineOutcome) else sent_row(
        message, told
    )


def sent_row(message: QueuedMessage, told: Sequence[Json]) -> Json:
    """`told`: what clients are told of its content."""
    return _row(message, {"content": list(told)})


def outcome_row(message: QueuedMessage, given: DefineOutcome) -> Json:
    """It is accepted at once, and has its time; its place is where a run begins to work towards it."""
    return {**_row(message, given.body()), "processed_at": message.created_at}


def _row(message: QueuedMessage, body: Json) -> Json:
    event, at = event_id(message.id), message.created_at
    return event_row(message.session_id, event, kind_of(message), body, at=at, number=None)
