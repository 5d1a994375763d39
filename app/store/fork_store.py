"""Forks: a new session that begins with what another one has said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, insert, select
from sqlalchemy.sql.schema import Table

from app.conversation.forking import before_message, before_user_message, fork_title
from app.conversation.session import Session
from app.conversation.transcript import Message, Transcript
from app.errors import InvalidTranscript, SessionBusy
from app.store.audit_notes import note
from app.store.engine import Database
from app.store.row_mapping import run_of, session_of
from app.store.run_rows import live_run_row
from app.store.session_rows import add_session, append_messages, find_session, read_messages
from app.store.tables import prompts, sessions, summaries, tool_states


class ForkStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    def fork(
        self,
        parent_id: str,
        new_id: str,
        *,
        created_at: float,
        owner: str,
        before: int | None,
        before_any: int | None = None,
        visible_to: str | None = None,
    ) -> Session:
        """Copies a session up to, and without, the user's message number `before`, counted from 0, or else the message
        number `before_any`; all of it without either. The parent stays as it is, and may be at work: SessionBusy only
        for a copy that would end between a call and its result. SessionNotFound, InvalidRequest."""
        with self._database.writing() as connection:
            parent = session_of(find_session(connection, parent_id, owner=visible_to))
            rows = read_messages(connection, parent_id)
            kept = rows
            if before is not None:
                kept = before_user_message(rows, before)
            elif before_any is not None:
                kept = before_message(rows, before_any)
            if len(kept) == len(rows) and _is_open(rows):
                row = live_run_row(connection, parent_id)
                run = run_of(row) if row is not None else None
                raise SessionBusy(run=run)
            fork = replace(
                parent,
                id=new_id,
                created_at=created_at,
                title=_free_title(connection, parent.title, owner),
                owner=owner,
                parent_id=None,
                input_tokens=0,
                output_tokens=0,
                cost=0.0,
                starred=False,
                compactions=_told_by(connection, parent_id, len(kept)),
            )
            add_session(connection, fork)
            append_messages(connection, new_id, kept, None)
            _copy(connection, prompts, parent_id, new_id)
            in_it = summaries.c.number <= fork.compactions
            _copy(connection, summaries, parent_id, new_id, in_it, run_id=None)
            if len(kept) == len(rows):  # the tools' state is known only as it is now
                _copy(connection, tool_states, parent_id, new_id)
            note(connection, "fork", new_id, detail=parent_id)
            return fork


def _is_open(rows: list[Message]) -> bool:
    try:
        return bool(Transcript.of(rows).open_calls)
    except InvalidTranscript:
        return False  # it is healed whenever it is sent


def _told_by(connection: Connection, session_id: str, length: int) -> int:
    """The number of the newest summary that was made of what the copy has; 0 for none."""
    query = select(summaries.c.number).where(
        summaries.c.session_id == session_id, summaries.c.made_at <= length
    )
    return max(connection.scalars(query), default=0)


def _free_title(connection: Connection, title: str, owner: str) -> str:
    similar = sessions.c.title.startswith(f"{title} (fork ", autoescape=True)
    taken = connection.scalars(select(sessions.c.title).where(sessions.c.owner == owner, similar))
    return fork_title(title, set(taken))


def _copy(connection: Connection, table: Table, old: str, new: str, *conditions: Any, **changes: Any) -> None:
    for row in connection.execute(select(table).where(table.c.session_id == old, *conditions)).all():
        connection.execute(insert(table).values({**row._mapping, "session_id": new, **changes}))
