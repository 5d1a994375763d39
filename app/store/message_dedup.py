"""Messages that a client sends again: docker-agent's own sends all that its user has said with each run."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select

from app.conversation.transcript import Message
from app.store.row_mapping import MESSAGE_COLUMNS, message_of
from app.store.tables import messages


def without_known(connection: Connection, session_id: str, posted: Sequence[Message]) -> Sequence[Message]:
    """Without the messages at the beginning that are the newest of the user's already. The last one is always new: a
    user who says a thing twice, means it."""
    if len(posted) < 2:
        return posted
    known = _newest(connection, session_id, len(posted) - 1)
    contents = [message.content for message in posted]
    for count in range(len(known), 0, -1):
        if known[-count:] == contents[:count]:
            return posted[count:]
    return posted


def _newest(connection: Connection, session_id: str, limit: int) -> list[Sequence[object]]:
    """The user's newest messages, oldest first."""
    here = messages.c.session_id == session_id, messages.c.role == "user", messages.c.implicit.is_(False)
    query = select(*(messages.c[name] for name in MESSAGE_COLUMNS)).where(*here)
    rows = connection.execute(query.order_by(messages.c.position.desc()).limit(limit)).all()
    return [message_of(row).content for row in reversed(rows)]
