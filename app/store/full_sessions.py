"""Sessions that hold as many bytes as one may: nothing more is said to them."""

from __future__ import annotations

from typing import Final

from sqlalchemy import ColumnElement, Connection, LargeBinary, cast, func, select

from app.errors import SessionFull
from app.store.tables import messages

MOST: Final = 10_000
"""Sessions that are remembered; then all are forgotten, and found out about anew."""


class FullSessions:
    """The sessions that runs of this process have found; nothing is asked for other sessions. For all threads."""

    def __init__(self, limit: int) -> None:
        """`limit` is the number of bytes; 0 for none."""
        self.limit = limit
        self._known: set[str] = set()

    def tell(self, session_id: str) -> None:
        """This one holds as many as it may."""
        if len(self._known) >= MOST:
            self._known.clear()
        self._known.add(session_id)

    def knows(self, session_id: str) -> bool:
        """Has `check` to look?"""
        return session_id in self._known

    def check(self, connection: Connection, session_id: str) -> None:
        """SessionFull. One that has become smaller is forgotten."""
        if session_id not in self._known:
            return
        here = select(func.sum(_bytes(connection))).where(messages.c.session_id == session_id)
        held = int(connection.execute(here).scalar() or 0)
        if self.limit and held >= self.limit:
            raise SessionFull.of(held, self.limit)
        self._known.discard(session_id)


def _bytes(connection: Connection) -> ColumnElement[int]:
    content = messages.c.content_json
    if connection.dialect.name == "sqlite":
        return func.length(cast(content, LargeBinary))
    return func.octet_length(content)
