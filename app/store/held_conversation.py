"""People's own changes to a conversation, while no run is at work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from sqlalchemy import Connection, bindparam, update

from app.conversation.compaction import condensed, estimate, told
from app.conversation.message_editing import added, edited
from app.conversation.transcript import Message, Usage, size_of
from app.errors import InvalidTranscript, MessageNotFound, SessionFull
from app.store.audit_notes import note
from app.store.prepared_statements import Prepared
from app.store.row_mapping import dump
from app.store.session_rows import (
    add_summary,
    append_messages,
    change_session,
    find_session,
    next_position,
    read_messages,
)
from app.store.tables import messages


class HeldConversation:
    """A session that is nobody else's, in whatever process, until the transaction of its connection ends. Its
    exceptions undo all of it: InvalidTranscript, SessionFull."""

    def __init__(self, connection: Connection, session_id: str, most_bytes: int) -> None:
        """`most_bytes` that the session may hold; 0: as many as there are."""
        self._connection = connection
        self._session_id = session_id
        self._most_bytes = most_bytes

    def add(self, new: Message) -> int:
        """At the end; its position."""
        after = added(read_messages(self._connection, self._session_id), new)
        self._refuse_full(after)
        note(self._connection, "add_message", self._session_id, detail=new.role)
        return append_messages(self._connection, self._session_id, [new], None)

    def edit(self, position: int, new: Message) -> None:
        """Gives the message there the words of another one of the same role. MessageNotFound."""
        before = read_messages(self._connection, self._session_id)
        if position >= len(before):
            raise MessageNotFound()
        if (role := before[position].role) != new.role:
            raise InvalidTranscript(f"This message's role is {role}, and stays so.")
        after = edited(before, position, new.content)
        self._refuse_full(after)
        row = after[position]
        there = {"of_session": self._session_id, "there": position}
        values = {"content_json": dump(row.content), "partial": row.partial}
        _EDIT.run(self._connection, there | values)
        _FORGET_PROMPTS.run(self._connection, there)
        note(self._connection, "edit_message", self._session_id, detail=str(position))

    def summarize(
        self,
        text: str,
        *,
        first_kept: int | None = None,
        model: str = "",
        usage: Usage | None = None,
        cost: float = 0.0,
    ) -> None:
        """The model is shown the text from now on in place of what was said before the position `first_kept`, or of all
        of it; the messages stay where they are. The rest is what making the summary took, elsewhere: the session has
        cost that too, but no day's budget."""
        connection, session_id = self._connection, self._session_id
        rows = read_messages(connection, session_id)
        session = find_session(connection, session_id, lock=True)
        number = session.compactions + 1
        end = next_position(connection, session_id)
        summary = told(rows, text, number=number, next_position=end, first_kept=first_kept)
        summary = replace(summary, model=model, usage=usage, cost=cost)
        add_summary(connection, summary, session_id, None)
        fill = sum(map(estimate, condensed(rows, summary)))
        values = {
            "compactions": number,
            "input_tokens": fill,
            "output_tokens": 0,
            "cost": session.cost + cost,
        }
        change_session(connection, session_id, **values)
        note(connection, "summarize", session_id, detail=f"{len(text)} characters")

    def _refuse_full(self, after: Sequence[Message]) -> None:
        limit = self._most_bytes
        if limit and (held := sum(map(size_of, after))) > limit:
            raise SessionFull.of(held, limit)


_here: Final = messages.c.session_id == bindparam("of_session")
_EDIT: Final = Prepared(
    update(messages).where(_here, messages.c.position == bindparam("there")),
    columns=["content_json", "partial"],
)
_FORGET_PROMPTS: Final = Prepared(
    update(messages)
    .where(_here, messages.c.position > bindparam("there"), messages.c.role == "assistant")
    .values(prompt="")
)
