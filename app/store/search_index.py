"""Writes the index of words, behind what is stored: in small bites, so that no other writer waits for long.

The database's triggers name each message and title that is written, changed or deleted (`search_pending`); what was
there before them is named by session (`search_backlog`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import orjson
from sqlalchemy import BindParameter, Connection, bindparam, delete, exists, insert, select, update

from app.conversation.search_words import owner_word, text_of, words_of
from app.store.advisory_locks import take_turns
from app.store.bulk_parameters import listed, pair_among
from app.store.engine import Database
from app.store.prepared_statements import Prepared
from app.store.row_mapping import Row
from app.store.tables import (
    messages,
    runs,
    search_backlog,
    search_entries,
    search_pending,
    sessions,
)

TITLE: Final = -1
"""The position of a session's title."""

BITE: Final = 20
"""Messages of one transaction, for whose end other writers of a SQLite wait."""

_TURNS: Final = "index words"

ALL: Final = 2_147_483_647

Key = tuple[str, int]


class SearchIndex:
    """Any process may work on it at any time; one after the other, each in a transaction that reads and writes. What is
    changed after it was read is named anew, and so comes again behind it."""

    def __init__(self, database: Database, *, enabled: bool = True) -> None:
        """Without `enabled` nothing is read or written: sessions that change are put on the backlog."""
        self._database = database
        self.enabled = enabled

    def waits(self) -> bool:
        """Is there something to do?"""
        found = self._look()
        return bool(found.new or (self.enabled and found.old))

    def step(self) -> bool:
        """Does a bite of what is new, else of what is old. False if there was nothing to do. StoreUnavailable."""
        return self.step_new() or (self.enabled and self._step_old())

    def step_new(self) -> bool:
        """The same, of what is new alone."""
        if not self._look().new:
            return False
        with self._database.writing_undurably() as connection:
            take_turns(connection, _TURNS)
            pending = _PENDING.all(connection)
            keys = list({(row.session_id, row.position): None for row in pending})
            _DROP.run(connection, {"keys": listed(keys)})
            if self.enabled:
                first = (_NEWEST.scalar(connection) or 0) + 1
                found = _read(connection, keys).items()
                _insert(connection, [(first + i, key, words) for i, (key, words) in enumerate(found)])
            else:
                _put_back(connection, [session_id for session_id, _ in keys])
            for row in pending:
                _DONE.run(connection, {"done": row.id})
        return bool(pending)

    def _step_old(self) -> bool:
        if not self._look().old:
            return False
        with self._database.writing_undurably() as connection:
            take_turns(connection, _TURNS)
            session = _BACKLOG.first(connection)
            if session is None:
                return False
            here = {"of_session": session.session_id, "under": session.below}
            positions = [row.position for row in _EARLIER.all(connection, here)]
            keys = [(session.session_id, position) for position in positions]
            if session.below == ALL:
                keys.append((session.session_id, TITLE))
            there = {tuple(row) for row in _THERE.plain(connection, {"keys": listed(keys)})}
            first = (_OLDEST.scalar(connection) or 0) - 1
            found = _read(connection, [key for key in keys if key not in there]).items()
            _insert(connection, [(first - i, key, words) for i, (key, words) in enumerate(found)])
            if len(positions) == BITE:
                _GO_ON.run(connection, {"which": session.id, "lowest": positions[-1]})
            else:
                _FINISHED.run(connection, {"which": session.id})
                _SET_ACTIVITY.run(connection, {"of_session": session.session_id})
        return True

    def _look(self) -> Row:
        with self._database.glance() as connection:
            return _WAITS.first(connection)


def note_title(connection: Connection, session_id: str) -> None:
    """A new session has a title. No trigger says so: with one, SQLite would look for rows that refer to the session."""
    _NOTE.run(connection, {"session_id": session_id, "position": TITLE})


def _read(connection: Connection, keys: Sequence[Key]) -> dict[Key, str]:
    """The words of those that are there and have any, in the same order."""
    found: dict[Key, str] = {}
    for row in _MESSAGES.all(connection, {"keys": listed(list(keys))}):
        if not row.implicit:
            content = orjson.loads(row.content_json)
            found[row.session_id, row.position] = _words(row.owner, text_of(row.role, content))
    for session_id, position in keys:
        if position == TITLE and (row := _TITLE.first(connection, {"of_session": session_id})):
            found[session_id, TITLE] = _words(row.owner, row.title)
    return {key: words for key in keys if (words := found.get(key))}


def _words(owner: str, text: str) -> str:
    words = words_of(text)
    return f"{owner_word(owner)} {words}" if words and owner else words


def _insert(connection: Connection, entries: Sequence[tuple[int, Key, str]]) -> None:
    rows: list[dict[str, Any]] = [
        {"id": number, "session_id": key[0], "position": key[1], "words": words}
        for number, key, words in entries
    ]
    if rows:
        _ADD.insert_all(connection, rows)


def _put_back(connection: Connection, session_ids: Sequence[str]) -> None:
    """The sessions are to be read as a whole, later."""
    for session_id in dict.fromkeys(session_ids):
        here = {"of_session": session_id}
        if not _AGAIN.run(connection, here) and _TITLE.first(connection, here) is not None:
            last = _LAST_OLD.scalar(connection) or 0
            _ADD_OLD.run(connection, {"id": last + 1, "session_id": session_id, "below": ALL})


_is_pending: Final = search_pending.c.id > 0  # all are: so it is a look into the key
_is_old: Final = search_backlog.c.id > 0
_WAITS: Final = Prepared(
    select(exists().where(_is_pending).label("new"), exists().where(_is_old).label("old"))
)
_PENDING: Final = Prepared(
    select(search_pending).where(_is_pending).order_by(search_pending.c.id).limit(BITE)
)
_DONE: Final = Prepared(delete(search_pending).where(search_pending.c.id == bindparam("done")))
_DROP: Final = Prepared(
    delete(search_entries).where(pair_among(search_entries.c.session_id, search_entries.c.position, "keys"))
)
_id: Final = search_entries.c.id
_NEWEST: Final = Prepared(select(_id).where(_id > 0).order_by(_id.desc()).limit(1))
_OLDEST: Final = Prepared(select(_id).where(_id < 0).order_by(_id).limit(1))
_ADD: Final = Prepared(insert(search_entries), columns=[column.key for column in search_entries.c])
_THERE: Final = Prepared(
    select(search_entries.c.session_id, search_entries.c.position).where(
        pair_among(search_entries.c.session_id, search_entries.c.position, "keys")
    )
)
_MESSAGES: Final = Prepared(
    select(
        messages.c.session_id,
        messages.c.position,
        messages.c.role,
        messages.c.content_json,
        messages.c.implicit,
        sessions.c.owner,
    )
    .join(sessions, sessions.c.id == messages.c.session_id)
    .where(pair_among(messages.c.session_id, messages.c.position, "keys"))
)
_of_session: Final[BindParameter[str]] = bindparam("of_session")
_TITLE: Final = Prepared(select(sessions.c.title, sessions.c.owner).where(sessions.c.id == _of_session))
_EARLIER: Final = Prepared(
    select(messages.c.position)
    .where(messages.c.session_id == _of_session, messages.c.position < bindparam("under"))
    .order_by(messages.c.position.desc())
    .limit(BITE)
)
_BACKLOG: Final = Prepared(
    select(search_backlog).where(_is_old).order_by(search_backlog.c.id.desc()).limit(1)
)
_NOTE: Final = Prepared(insert(search_pending), columns=["session_id", "position"])
_which: Final = search_backlog.c.id == bindparam("which")
_GO_ON: Final = Prepared(update(search_backlog).where(_which).values(below=bindparam("lowest")))
_FINISHED: Final = Prepared(delete(search_backlog).where(_which))
_AGAIN: Final = Prepared(
    update(search_backlog).where(search_backlog.c.session_id == _of_session).values(below=ALL)
)
_LAST_OLD: Final = Prepared(
    select(search_backlog.c.id).where(_is_old).order_by(search_backlog.c.id.desc()).limit(1)
)
_ADD_OLD: Final = Prepared(insert(search_backlog), columns=[column.key for column in search_backlog.c])
_last_run: Final = (
    select(runs.c.started_at)
    .where(runs.c.session_id == _of_session)
    .order_by(runs.c.started_at.desc())
    .limit(1)
    .scalar_subquery()
)
_SET_ACTIVITY: Final = Prepared(
    update(sessions)
    .where(sessions.c.id == _of_session, sessions.c.active_at.is_(None))
    .values(active_at=_last_run)
)
"""Of a session from before there was such a column; it stays null for one without runs."""
