"""What people write into a conversation themselves, while no run is at work."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import update

from app.conversation.audit import AuditEntry
from app.conversation.blocks import Block
from app.conversation.editing import added, edited
from app.conversation.transcript import Message
from app.errors import InvalidTranscript, MessageNotFound
from app.store.audit_store import note
from app.store.closing import LastWords
from app.store.rows import dump
from app.store.run_store import IsGone, RunStore
from app.store.session_store import append_messages, read_messages
from app.store.tables import messages


class EditStore:
    """Each method is one transaction in which the session is nobody else's, in whatever process: SessionBusy while
    a run is at work. Also SessionNotFound, InvalidTranscript."""

    def __init__(self, runs: RunStore) -> None:
        self._runs = runs

    def add(
        self,
        session_id: str,
        new: Message,
        *,
        is_gone: IsGone,
        last_words: LastWords,
        visible_to: str | None = None,
        audit: AuditEntry | None = None,
    ) -> int:
        """At the end; its position."""
        holding = self._runs.holding(
            session_id, is_gone=is_gone, last_words=last_words, visible_to=visible_to
        )
        with holding as connection:
            added(read_messages(connection, session_id), new)
            note(connection, audit)
            return append_messages(connection, session_id, [new], None)

    def edit(
        self,
        session_id: str,
        position: int,
        new: Message,
        *,
        is_gone: IsGone,
        last_words: LastWords,
        visible_to: str | None = None,
        audit: AuditEntry | None = None,
    ) -> None:
        """Gives the message there the words of another one of the same role. MessageNotFound."""
        holding = self._runs.holding(
            session_id, is_gone=is_gone, last_words=last_words, visible_to=visible_to
        )
        with holding as connection:
            before = read_messages(connection, session_id)
            if position >= len(before):
                raise MessageNotFound()
            if (role := before[position].role) != new.role:
                raise InvalidTranscript(f"This message's role is {role}, and stays so.")
            content: Sequence[Block] = new.content
            after = edited(before, position, content)
            here = update(messages).where(messages.c.session_id == session_id)
            row = after[position]
            values = {"content_json": dump(row.content), "partial": row.partial}
            connection.execute(here.where(messages.c.position == position).values(values))
            later = (messages.c.position > position) & (messages.c.role == "assistant")
            connection.execute(here.where(later).values(prompt=""))
            note(connection, audit)
