"""Finds messages and titles by their words."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import orjson
from sqlalchemy import ColumnElement, Integer, and_, bindparam, func, literal_column, select, text

from app.conversation.search_words import SearchQuery, Span, owner_word, text_of
from app.store.engine import Database
from app.store.prepared_statements import Prepared
from app.store.search_index import TITLE
from app.store.tables import messages, search_entries, sessions

NEWEST: Final = 2**62


@dataclass(frozen=True, slots=True)
class Hit:
    """`position`: the message's; None for the session's title. `spans` are places in `text`. A next page begins
    behind `place`."""

    place: int
    session_id: str
    title: str
    owner: str
    position: int | None
    role: str
    agent: str
    created_at: float
    text: str
    spans: list[Span]


class SearchStore:
    """What it finds is compared with what is stored at that moment, whatever the index says."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(
        self, query: SearchQuery, *, owner: str | None = None, limit: int, after: int | None = None
    ) -> list[Hit]:
        """The newest first; those of old sessions behind all others. `owner` narrows it to one token's sessions.
        A query without words finds nothing."""
        found: list[Hit] = []
        place = NEWEST if after is None else after
        if not query.terms:
            return found
        values = {"query": _EXPRESSIONS[self._database.kind](query, owner), "most": limit}
        statement = _statement(self._database.kind)
        while len(found) < limit:
            with self._database.reading() as connection:
                rows = statement.all(connection, {**values, "before": place})
            visible = [row for row in rows if row.owner is not None and owner in (None, row.owner)]
            found += [hit for row in visible if (hit := _hit(row, query)) is not None]
            if len(rows) < limit:
                break
            place = rows[-1].id
        return found[:limit]


def _hit(row: Any, query: SearchQuery) -> Hit | None:
    """None if the message has changed since it was indexed, or is gone."""
    is_title = row.position == TITLE
    if not is_title and (row.content_json is None or row.implicit):
        return None
    words = row.title if is_title else text_of(row.role, orjson.loads(row.content_json))
    spans = query.find(words)
    if spans is None:
        return None
    return Hit(
        row.id,
        row.session_id,
        row.title,
        row.owner,
        None if is_title else row.position,
        "" if is_title else row.role,
        "" if is_title else row.agent,
        row.session_created_at if is_title else row.created_at,
        words,
        spans,
    )


@cache
def _statement(kind: str) -> Prepared:
    """The entries first, as many as are wanted: what belongs to them is looked up for no more."""
    entries = search_entries
    chosen = select(entries.c.id, entries.c.session_id, entries.c.position)
    if kind == "sqlite":
        number: ColumnElement[int] = literal_column("search_words.rowid", Integer)
        matching = and_(text("search_words MATCH :query"), number < bindparam("before"))
        chosen = chosen.select_from(text("search_words"), entries).where(number == entries.c.id)
    else:
        number = entries.c.id
        vector = func.to_tsvector(literal_column("'simple'::regconfig"), entries.c.words)
        wanted = func.to_tsquery(literal_column("'simple'::regconfig"), bindparam("query"))
        matching = and_(vector.bool_op("@@")(wanted), number < bindparam("before"))
    found = chosen.where(matching).order_by(number.desc()).limit(bindparam("most")).subquery("found")
    message = and_(messages.c.session_id == found.c.session_id, messages.c.position == found.c.position)
    statement = (
        select(
            found,
            sessions.c.title,
            sessions.c.owner,
            sessions.c.created_at.label("session_created_at"),
            messages.c.role,
            messages.c.agent,
            messages.c.created_at,
            messages.c.content_json,
            messages.c.implicit,
        )
        .select_from(
            found.outerjoin(sessions, sessions.c.id == found.c.session_id).outerjoin(messages, message)
        )
        .order_by(found.c.id.desc())
    )
    return Prepared(statement)


def _for_sqlite(query: SearchQuery, owner: str | None) -> str:
    """Words are letters and digits alone, so nothing in them means anything to the database."""
    terms = [f'"{" ".join(term.words)}"{" *" if term.open else ""}' for term in query.terms]
    return " AND ".join([*([f'"{owner_word(owner)}"'] if owner else []), *terms])


def _for_postgresql(query: SearchQuery, owner: str | None) -> str:
    terms = [
        "(" + " <-> ".join(f"'{word}'" for word in term.words) + (":*" if term.open else "") + ")"
        for term in query.terms
    ]
    return " & ".join([*([f"'{owner_word(owner)}'"] if owner else []), *terms])


_EXPRESSIONS: Final = {"sqlite": _for_sqlite, "postgresql": _for_postgresql}
