"""A session's row and its messages, for the transactions of all stores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, bindparam, func, insert, select, update

from app.conversation.forking import newest_hand_off
from app.conversation.safety import SafetyPolicy
from app.conversation.session import MAX_MODELS, MAX_PATTERNS, Session
from app.conversation.summary import Summary
from app.conversation.transcript import Message
from app.errors import SessionNotFound
from app.store.clock import MOMENT, now
from app.store.joined_writes import Write
from app.store.prepared_statements import Prepared
from app.store.row_mapping import (
    MESSAGE_COLUMNS,
    Row,
    choices_json,
    choices_of,
    dump,
    load_optional,
    message_of,
    message_row,
    session_row,
    summary_row,
)
from app.store.search_index import note_title
from app.store.tables import (
    messages,
    runs,
    sessions,
    summaries,
)

# Statements of the hot path are built once: building one costs more than running it.
_one_session: Final = select(sessions).where(sessions.c.id == bindparam("session_id"))
_own_session: Final = _one_session.where(sessions.c.owner == bindparam("owner"))
_SESSION: Final = Prepared(_one_session)
_OWN_SESSION: Final = Prepared(_own_session)
# not so tight that rows which refer to the session would have to wait
_SESSION_LOCKED: Final = Prepared(_one_session.with_for_update(key_share=True))
_OWN_SESSION_LOCKED: Final = Prepared(_own_session.with_for_update(key_share=True))
ALL_MESSAGES: Final = (
    select(*(messages.c[name] for name in MESSAGE_COLUMNS))
    .where(messages.c.session_id == bindparam("session_id"))
    .order_by(messages.c.position)
)
_MESSAGES: Final = Prepared(ALL_MESSAGES)
_LAST_POSITION: Final = Prepared(
    select(func.max(messages.c.position)).where(messages.c.session_id == bindparam("session_id"))
)
_AGENT_OF_RUN: Final = Prepared(
    select(runs.c.agent)
    .join(messages, messages.c.run_id == runs.c.id)
    .where(messages.c.session_id == bindparam("session_id"), messages.c.position == bindparam("position"))
)
_ADD_SUMMARY: Final = Prepared(
    insert(summaries).values(created_at=now()),
    columns=[column.key for column in summaries.c if column.key != "created_at"],
)
_ADD_SESSION: Final = Prepared(
    insert(sessions).values(created_at=MOMENT),
    columns=[column.key for column in sessions.c if column.key not in ("created_at", "active_at")],
)
_ADD_MESSAGES: Final = Prepared(
    insert(messages).values(created_at=MOMENT),
    columns=[column.key for column in messages.c if column.key != "created_at"],
)
_before: Final = messages.alias("before")
NEXT_POSITION: Final = (
    select(func.coalesce(func.max(_before.c.position), -1) + 1)
    .where(_before.c.session_id == bindparam("in_session"))
    .scalar_subquery()
)
"""The position of the next message of the session that a statement is given as `in_session`."""

_ADD_MESSAGE: Final = Prepared(
    insert(messages).values(created_at=MOMENT, position=NEXT_POSITION).returning(messages.c.position),
    columns=[column.key for column in messages.c if column.key not in ("created_at", "position")],
)


def find_session(
    connection: Connection, session_id: str, *, owner: str | None = None, lock: bool = False
) -> Row:
    """SessionNotFound if it is not there, or somebody else's."""
    if owner is None:
        query = _SESSION_LOCKED if lock else _SESSION
    else:
        query = _OWN_SESSION_LOCKED if lock else _OWN_SESSION
    row = query.first(connection, {"session_id": session_id, "owner": owner})
    if row is None:
        raise SessionNotFound()
    return row


def add_session(connection: Connection, session: Session) -> None:
    _ADD_SESSION.run(connection, session_row(session))
    if session.title:
        note_title(connection, session.id)


def read_messages(connection: Connection, session_id: str) -> list[Message]:
    return [message_of(row) for row in _MESSAGES.plain(connection, {"session_id": session_id})]


def holder_of(
    connection: Connection, session_id: str, handed_to: str, rows: Sequence[Message], kept: Sequence[Message]
) -> str:
    """Whose the session is when only the first of its rows are `kept`: "key/name"; empty for nobody's. A hand-off that
    is gone is undone, and the last one that is kept counts. `handed_to` says whose it is with all of its rows. A row
    without a run, as in a copy, is taken for one of the same agent file's."""
    if newest_hand_off(rows[len(kept) :]) is None:
        return handed_to
    given = newest_hand_off(kept) if handed_to else None
    if given is None:
        return ""
    there = {"session_id": session_id, "position": given.position}
    agent = _AGENT_OF_RUN.scalar(connection, there) or handed_to
    return f"{agent.partition('/')[0]}/{given.target}"


def add_summary(connection: Connection, summary: Summary, session_id: str, run_id: str | None) -> None:
    _ADD_SUMMARY.run(connection, summary_row(summary, session_id, run_id))


def change_session(connection: Connection, session_id: str, **values: Any) -> bool:
    """Sets columns of the session's row; False if there is none."""
    return bool(_change_of_session(tuple(values)).run(connection, {"here": session_id, **values}))


@cache
def _change_of_session(columns: tuple[str, ...]) -> Prepared:
    return Prepared(update(sessions).where(sessions.c.id == bindparam("here")), columns=columns)


def set_policy(connection: Connection, session_id: str, policy: SafetyPolicy) -> bool:
    """False if there is no such session. The widest policy is the approval of every tool; the one that was chosen
    before counts again when that is taken back."""
    if policy == "autonomous":
        return change_session(connection, session_id, tools_approved=True)
    return change_session(connection, session_id, tools_approved=False, safety_policy=policy or None)


def allow_tool(connection: Connection, session_id: str, pattern: str) -> None:
    """Adds a pattern to what the session allows, unless it is there already. Past the bound the oldest goes: then
    more is asked about, not less."""
    row = find_session(connection, session_id, lock=True)
    permissions = dict(load_optional(row.permissions_json) or {})
    allowed = list(permissions.get("allow") or ())
    if pattern not in allowed:
        permissions["allow"] = [*allowed, pattern][-MAX_PATTERNS:]
        change_session(connection, session_id, permissions_json=dump(permissions))


def set_model(connection: Connection, session_id: str, model: str | None) -> None:
    """Nothing, if there is none. One that is chosen is remembered among those to choose from again."""
    if model is None:
        return
    choices = choices_of(find_session(connection, session_id, lock=True))
    if model and model not in choices.models_used:
        used = [*choices.models_used, model][-MAX_MODELS:]
        changed = choices_json(replace(choices, models_used=used))
        change_session(connection, session_id, model=model, choices_json=changed)
    else:
        change_session(connection, session_id, model=model)


def set_pause(connection: Connection, session_id: str, *, wanted: bool) -> bool:
    """Whether the session's run is to wait before its next model call. False if that was so already."""
    choices = choices_of(find_session(connection, session_id, lock=True))
    if choices.pause is wanted:
        return False
    changed = choices_json(replace(choices, pause=wanted))
    return change_session(connection, session_id, choices_json=changed)


def restore_model(connection: Connection, session: Session) -> None:
    """The session's model, and those to choose from, are what they are in `session` again."""
    choices = choices_of(find_session(connection, session.id, lock=True))
    former = replace(choices, models_used=session.choices.models_used)
    change_session(connection, session.id, model=session.model, choices_json=choices_json(former))


def next_position(connection: Connection, session_id: str) -> int:
    last: int | None = _LAST_POSITION.scalar(connection, {"session_id": session_id})
    return 0 if last is None else last + 1


def append_messages(
    connection: Connection, session_id: str, new: Sequence[Message], run_id: str | None
) -> int:
    """The position of the first."""
    if len(new) == 1:
        return int(appending(session_id, new[0], run_id).do(connection))
    first = next_position(connection, session_id)
    if new:
        rows = [message_row(message, session_id, first + i, run_id) for i, message in enumerate(new)]
        _ADD_MESSAGES.insert_all(connection, rows)
    return first


def appending(session_id: str, message: Message, run_id: str | None) -> Write:
    """The write that appends one message, and returns its position."""
    row = message_row(message, session_id, 0, run_id)
    return Write(_ADD_MESSAGE, [{**row, "in_session": session_id}], "value")


_NUMBER: Final = Prepared(
    update(sessions)
    .where(sessions.c.id == bindparam("here"))
    .values(next_event=bindparam("number"), active_at=now())
)


def numbering(session_id: str, number: int) -> Write:
    """The write that ends a run for its session: no event has that number yet, and it was active now."""
    return Write(_NUMBER, [{"here": session_id, "number": number}])


_TOUCH: Final = Prepared(update(sessions).where(sessions.c.id == bindparam("here")).values(active_at=now()))


def touch(connection: Connection, session_id: str) -> None:
    """The session was active now."""
    _TOUCH.run(connection, {"here": session_id})


def set_next_event(connection: Connection, session_id: str, number: int) -> None:
    """Sets exactly that number: the holder of the baton knows that no higher one was sent."""
    change_session(connection, session_id, next_event=number)
