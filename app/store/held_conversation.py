"""People's own changes to a conversation, while no run is at work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import BindParameter, Connection, bindparam, delete, select, update

from app.conversation.compaction import condensed, estimate, told
from app.conversation.forking import before_newest_words, before_user_message, before_words
from app.conversation.message_editing import added, edited
from app.conversation.transcript import Message, size_of
from app.conversation.usage import Usage
from app.errors import InvalidTranscript, MessageNotFound, SessionFull
from app.store.audit_notes import note
from app.store.prepared_statements import Prepared
from app.store.row_mapping import dump, summary_of
from app.store.session_rows import (
    add_summary,
    append_messages,
    change_session,
    find_session,
    holder_of,
    next_position,
    read_messages,
    touch,
)
from app.store.tables import (
    messages,
    queued_messages,
    summaries,
    tool_calls,
)
from app.store.tool_state_rows import read_tool_state, replace_tool_state


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
        touch(self._connection, self._session_id)
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
        touch(self._connection, self._session_id)
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

    def undo(self, before: int | None, message_id: str = "") -> tuple[int, int]:
        """Takes back the user's message of that id, or else number `before`, counted from 0, and all that came after
        it; the newest one without either. How many messages are left, and how many are gone. Summaries made of what
        is gone go as well. What was paid stays paid, and what tools have done stays done. InvalidRequest,
        MessageNotFound."""
        connection, session_id = self._connection, self._session_id
        rows = read_messages(connection, session_id)
        if message_id:
            kept = before_words(rows, session_id, message_id)
        else:
            kept = before_newest_words(rows) if before is None else before_user_message(rows, before)
        end = rows[len(kept)].position
        beyond = {"of_session": session_id, "end": end}
        for statement in _TAKE_BACK:
            statement.run(connection, beyond)
        newest = _NEWEST_SUMMARY.first(connection, {"of_session": session_id})
        summary = summary_of(newest) if newest is not None else None
        session = find_session(connection, session_id)
        change_session(
            connection,
            session_id,
            compactions=summary.number if summary else 0,
            input_tokens=sum(map(estimate, condensed(kept, summary))),
            output_tokens=0,
            handed_to=holder_of(connection, session_id, session.handed_to, rows, kept),
        )
        touch(connection, session_id)
        note(connection, "undo", session_id, detail=str(end))
        return len(kept), len(rows) - len(kept)

    def tool_state(self, key: str) -> Any:
        """The state that a toolset has left for the next run; None if it has left none."""
        return read_tool_state(self._connection, self._session_id, key)

    def set_todos(self, key: str, todos: Sequence[Mapping[str, str]], *, done: str) -> None:
        """Puts this list in the place of the one that the toolset `key` has left. `done` is for the audit trail."""
        replace_tool_state(self._connection, self._session_id, key, dump(todos))
        note(self._connection, "todo", self._session_id, detail=done)

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
_of_session: Final[BindParameter[str]] = bindparam("of_session")
_end: Final[BindParameter[int]] = bindparam("end")
_TAKE_BACK: Final = (
    Prepared(delete(messages).where(_here, messages.c.position >= _end)),
    Prepared(delete(tool_calls).where(tool_calls.c.session_id == _of_session, tool_calls.c.position >= _end)),
    Prepared(delete(summaries).where(summaries.c.session_id == _of_session, summaries.c.made_at > _end)),
    Prepared(
        delete(queued_messages).where(
            queued_messages.c.session_id == _of_session, queued_messages.c.position >= _end
        )
    ),
)
"""Also the traces that queued messages have left when a run took them."""

_NEWEST_SUMMARY: Final = Prepared(
    select(summaries)
    .where(summaries.c.session_id == _of_session)
    .order_by(summaries.c.number.desc())
    .limit(1)
)
