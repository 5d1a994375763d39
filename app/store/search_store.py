"""Finds messages and titles by their words."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import orjson
from sqlalchemy import and_, bindparam, func, literal_column, outerjoin, select, text

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
        values = {"query": _EXPRESSIONS[self._database.kind](query, owner), "most": limit, "owner": owner}
        statement = _statement(self._database.kind, owner is not None)
        while len(found) < limit:
            with self._database.reading() as connection:
                rows = statement.all(connection, {**values, "before": place})
            found += [hit for row in rows if (hit := _hit(row, query)) is not None]
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
def _statement(kind: str, of_owner: bool) -> Prepared:
    entries = search_entries
    message = and_(messages.c.session_id == entries.c.session_id, messages.c.position == entries.c.position)
    joined = outerjoin(entries.join(sessions, sessions.c.id == entries.c.session_id), messages, message)
    statement = (
        select(
            entries.c.id,
            entries.c.session_id,
            entries.c.position,
            sessions.c.title,
            sessions.c.owner,
            sessions.c.created_at.label("session_created_at"),
            messages.c.role,
            messages.c.agent,
            messages.c.created_at,
            messages.c.content_json,
            messages.c.implicit,
        )
        .where(entries.c.id < bindparam("before"))
        .limit(bindparam("most"))
    )
    if kind == "sqlite":
        words = text("search_words")
        statement = statement.select_from(words, joined).where(
            text("search_words MATCH :query AND search_words.rowid < :before"),
            literal_column("search_words.rowid") == entries.c.id,
        )
        statement = statement.order_by(literal_column("search_words.rowid").desc())
    else:
        vector = func.to_tsvector(literal_column("'simple'::regconfig"), entries.c.words)
        wanted = func.to_tsquery(literal_column("'simple'::regconfig"), bindparam("query"))
        statement = statement.select_from(joined).where(vector.bool_op("@@")(wanted))
        statement = statement.order_by(entries.c.id.desc())
    if of_owner:
        statement = statement.where(sessions.c.owner == bindparam("owner"))
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
