"""Which agent has a conversation, as far as those who look can be told."""

from __future__ import annotations

from collections.abc import Sequence

from app.conversation.run import Run
from app.store.store import Store


def speaker(store: Store, session_id: str, newest: Sequence[Run]) -> str:
    """The name of the agent that spoke last, or whose run is to be answered; empty if nothing was said yet, or is left.
    The conversation may have been handed to another agent since the `newest` run began."""
    if not newest:
        return ""
    _, asked = newest[0].key_and_name
    last = store.sessions.last_position(session_id)
    for message in store.sessions.page_of_messages(session_id, first=last, last=last):
        return (message.role != "user" and message.agent) or asked
    return asked if newest[0].live else ""
