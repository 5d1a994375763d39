"""People's own changes to a conversation, while no run is at work."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import update

from app.conversation.blocks import Block
from app.conversation.compaction import condensed, estimate, told
from app.conversation.message_editing import added, edited
from app.conversation.run import Probe
from app.conversation.transcript import Message, size_of
from app.errors import InvalidTranscript, MessageNotFound, SessionFull
from app.store.audit_notes import note
from app.store.row_mapping import dump
from app.store.run_end import LastWords
from app.store.run_store import RunStore
from app.store.session_rows import add_summary, append_messages, find_session, next_position, read_messages
from app.store.tables import messages, sessions


class EditStore:
    """Each method is one transaction in which the session is nobody else's, in whatever process: SessionBusy while
    a run is at work. Also SessionNotFound, InvalidTranscript, SessionFull."""

    def __init__(self, runs: RunStore) -> None:
        self._runs = runs

    def add(
        self,
        session_id: str,
        new: Message,
        *,
        probe: Probe,
        last_words: LastWords,
        visible_to: str | None = None,
    ) -> int:
        """At the end; its position."""
        holding = self._runs.holding(session_id, probe=probe, last_words=last_words, visible_to=visible_to)
        with holding as connection:
            after = added(read_messages(connection, session_id), new)
            self._refuse_full(after)
            note(connection, "add_message", session_id, detail=new.role)
            return append_messages(connection, session_id, [new], None)

    def edit(
        self,
        session_id: str,
        position: int,
        new: Message,
        *,
        probe: Probe,
        last_words: LastWords,
        visible_to: str | None = None,
    ) -> None:
        """Gives the message there the words of another one of the same role. MessageNotFound."""
        holding = self._runs.holding(session_id, probe=probe, last_words=last_words, visible_to=visible_to)
        with holding as connection:
            before = read_messages(connection, session_id)
            if position >= len(before):
                raise MessageNotFound()
            if (role := before[position].role) != new.role:
                raise InvalidTranscript(f"This message's role is {role}, and stays so.")
            content: Sequence[Block] = new.content
            after = edited(before, position, content)
            self._refuse_full(after)
            here = update(messages).where(messages.c.session_id == session_id)
            row = after[position]
            values = {"content_json": dump(row.content), "partial": row.partial}
            connection.execute(here.where(messages.c.position == position).values(values))
            later = (messages.c.position > position) & (messages.c.role == "assistant")
            connection.execute(here.where(later).values(prompt=""))
            note(connection, "edit_message", session_id, detail=str(position))

    def _refuse_full(self, after: Sequence[Message]) -> None:
        limit = self._runs.full.limit
        if limit and (held := sum(map(size_of, after))) > limit:
            raise SessionFull.of(held, limit)

    def summarize(
        self,
        session_id: str,
        text: str,
        *,
        tokens: int | None,
        probe: Probe,
        last_words: LastWords,
        visible_to: str | None = None,
    ) -> None:
        """The model is shown the text from now on in place of what was said so far, which stays where it is.
        `tokens`: how much of the model's window that takes; None for an estimate."""
        holding = self._runs.holding(session_id, probe=probe, last_words=last_words, visible_to=visible_to)
        with holding as connection:
            rows = read_messages(connection, session_id)
            session = find_session(connection, session_id)
            summary = told(
                rows,
                text,
                number=session.compactions + 1,
                next_position=next_position(connection, session_id),
            )
            add_summary(connection, summary, session_id, None)
            fill = tokens if tokens is not None else sum(map(estimate, condensed(rows, summary)))
            here = update(sessions).where(sessions.c.id == session_id)
            values = {"compactions": summary.number, "input_tokens": fill, "output_tokens": 0}
            connection.execute(here.values(values))
            note(connection, "summarize", session_id, detail=f"{len(text)} characters")
