"""Forks: a new session that begins with what another one has said."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Table,
    Text,
    bindparam,
    func,
    insert,
    null,
    select,
)

from app.conversation.forking import before_message, before_user_message, fork_title, through_message
from app.conversation.session import Session
from app.conversation.transcript import Message, Transcript
from app.errors import InvalidTranscript, SessionBusy
from app.managed_ids import id_of
from app.store.audit_notes import note
from app.store.engine import Database
from app.store.managed_rows import copy_managed, is_managed
from app.store.prepared_statements import Prepared
from app.store.row_mapping import run_of, session_of
from app.store.run_rows import live_run_row
from app.store.session_rows import (
    add_session,
    append_messages,
    find_session,
    holder_of,
    read_messages,
)
from app.store.tables import (
    prompts,
    sessions,
    summaries,
    tool_states,
)

_of_parent: Final = summaries.c.session_id == bindparam("parent")
_TOLD_BY: Final = Prepared(
    select(func.max(summaries.c.number)).where(_of_parent, summaries.c.made_at <= bindparam("length"))
)
_TITLES: Final = Prepared(
    select(sessions.c.title).where(
        sessions.c.owner == bindparam("owner"),
        func.substr(sessions.c.title, 1, bindparam("length", type_=Integer))
        == bindparam("start", type_=Text),
    )
)


def _copying(table: Table, *conditions: ColumnElement[bool], **changes: ColumnElement[Any]) -> Prepared:
    changes["session_id"] = bindparam("fork", type_=Text)
    values = [changes.get(column.key, column) for column in table.c]
    rows = select(*values).where(table.c.session_id == bindparam("parent"), *conditions)
    return Prepared(insert(table).from_select(list(table.c), rows))


_COPY_PROMPTS: Final = _copying(prompts)
_COPY_SUMMARIES: Final = _copying(summaries, summaries.c.number <= bindparam("compactions"), run_id=null())
_COPY_TOOL_STATES: Final = _copying(tool_states)


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
        through: str = "",
        visible_to: str | None = None,
        between_runs: bool = False,
        **changes: Any,
    ) -> Session:
        """Copies a session up to, and without, the user's message number `before`, counted from 0, or else the message
        number `before_any`; or up to and with the message of the id `through` and the results of its calls; all of it
        without any of them. `changes` are fields in which the copy differs. The parent stays as it is, and may be at
        work, unless `between_runs`: then SessionBusy. Else only for a copy that would end between a call and its
        result. SessionNotFound, MessageNotFound, InvalidRequest."""
        with self._database.writing() as connection:
            parent = session_of(find_session(connection, parent_id, owner=visible_to, lock=between_runs))
            if between_runs and (live := live_run_row(connection, parent_id)) is not None:
                raise SessionBusy(run=run_of(live))
            rows = read_messages(connection, parent_id)
            kept = rows
            if before is not None:
                kept = before_user_message(rows, before)
            elif before_any is not None:
                kept = before_message(rows, before_any)
            elif through:
                kept = through_message(rows, parent_id, through)
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
                choices=replace(parent.choices, pause=False),
                compactions=_told_by(connection, parent_id, len(kept)),
                **{"handed_to": holder_of(connection, parent_id, parent.handed_to, rows, kept), **changes},
            )
            managed = is_managed(connection, parent_id)
            if managed:  # its agent was frozen into the parent, and is frozen into the copy
                agent = fork.handed_to.rpartition("/")[2]
                fork = replace(fork, handed_to=f"{id_of('sesn', uuid.UUID(new_id))}/{agent}")
            add_session(connection, fork)
            if managed:
                copy_managed(connection, parent_id, new_id, made_at=created_at)
            append_messages(connection, new_id, [replace(row, id="") for row in kept], None)
            ids = {"parent": parent_id, "fork": new_id}
            _COPY_PROMPTS.run(connection, ids)
            _COPY_SUMMARIES.run(connection, ids | {"compactions": fork.compactions})
            if len(kept) == len(rows):  # the tools' state is known only as it is now
                _COPY_TOOL_STATES.run(connection, ids)
            note(connection, "fork", new_id, detail=parent_id)
            return fork


def _is_open(rows: list[Message]) -> bool:
    try:
        return bool(Transcript.of(rows).open_calls)
    except InvalidTranscript:
        return False  # it is healed whenever it is sent


def _told_by(connection: Connection, session_id: str, length: int) -> int:
    """The number of the newest summary that was made of what the copy has; 0 for none."""
    return _TOLD_BY.scalar(connection, {"parent": session_id, "length": length}) or 0


def _free_title(connection: Connection, title: str, owner: str) -> str:
    start = f"{title} (fork "
    taken = _TITLES.all(connection, {"owner": owner, "start": start, "length": len(start)})
    return fork_title(title, {row.title for row in taken})
