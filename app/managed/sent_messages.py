"""Messages that a client has sent, which wait for a run, and the events by which they were sent."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from app.conversation.queued_message import QueuedMessage
from app.door_ids import event_id
from app.managed.event_bodies import UserMessage
from app.managed.teller import contents
from app.store.store import Store
from app.store.told_events import event_row

Json = dict[str, Any]


def first_messages(
    store: Store, session_id: str, given: Sequence[UserMessage], *, by: str
) -> tuple[list[QueuedMessage], list[Json]]:
    """Messages that wait for a session's run, and the events by which they were sent."""
    at = store.database.now()
    messages = [
        QueuedMessage(uuid.uuid4().hex, session_id, "followup", tuple(one.blocks()), at, by) for one in given
    ]
    return messages, [sent_row(message) for message in messages]


def sent_row(message: QueuedMessage) -> Json:
    return event_row(
        message.session_id,
        event_id(message.id),
        "user.message",
        {"content": contents(message)},
        at=message.created_at,
        number=None,
    )
