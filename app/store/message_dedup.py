"""Messages that a client sends again: docker-agent's own sends all that its user has said with each run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, Integer, bindparam, select

from app.conversation.framing import unframed
from app.conversation.transcript import Message
from app.store.prepared_statements import Prepared
from app.store.row_mapping import MESSAGE_COLUMNS, message_of
from app.store.tables import messages

_NEWEST: Final = Prepared(
    select(*(messages.c[name] for name in MESSAGE_COLUMNS))
    .where(
        messages.c.session_id == bindparam("of_session"),
        messages.c.role == "user",
        messages.c.implicit.is_(False),
    )
    .order_by(messages.c.position.desc())
    .limit(bindparam("most", type_=Integer))
)


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
    rows = _NEWEST.plain(connection, {"of_session": session_id, "most": limit})
    return [unframed(message_of(row).content) for row in reversed(rows)]
