"""Segments of facts: the written part of an event log, for the transactions of all stores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import Connection, text
from sqlalchemy.dialects import postgresql

from app.store.clock import NOW_ON_SQLITE, now
from app.store.joined_writes import Write
from app.store.packed_facts import unpack
from app.store.prepared_statements import MAX_ROWS, Prepared
from app.store.tables import event_segments


@dataclass(frozen=True, slots=True)
class Segment:
    """Facts of one run, behind each other: plain, but packed on their way into the database (`packed_facts`). `last`
    is the number of the last event; a condensed segment need not have a fact with it."""

    session_id: str
    run_id: str
    first: int
    last: int
    facts: bytes

    @property
    def count(self) -> int:
        return self.last - self.first + 1

    @property
    def row(self) -> tuple[str, str, int, int, bytes]:
        return self.session_id, self.run_id, self.first, self.last, self.facts


def segment_of(row: Any) -> Segment:
    """What a row of the table holds, its facts unpacked. ValueError if nobody can read them."""
    facts = unpack(row.session_id, row.run_id, row.frames)
    return Segment(row.session_id, row.run_id, row.first, row.last, facts)


_COLUMNS: Final = ["session_id", "run_id", "first", "last", "frames"]
RESERVED_NUMBERS: Final = 100_000
"""Event numbers kept free beyond what is written while a run is live, and half of them always, so that a
crash never makes two events share one. A run that ends orderly gives back what it did not use."""


def write_segments(connection: Connection, segments: Sequence[Segment]) -> None:
    """Writing the same events twice leaves them there once: a commit that was not seen is repeated."""
    for write in segment_writes(connection.dialect.name, segments):
        write.do(connection)


def segment_writes(kind: str, segments: Sequence[Segment]) -> list[Write]:
    """The writes of the same, for a `kind` of database."""
    if not segments:
        return []
    if kind == "sqlite":
        return [Write(_UPSERT_ON_SQLITE, [_in_one_piece(segments)])]
    rows = [dict(zip(_COLUMNS, segment.row, strict=True)) for segment in segments]
    starts = range(0, len(rows), MAX_ROWS)
    return [Write(_UPSERT_ON_POSTGRESQL, rows[start : start + MAX_ROWS]) for start in starts]


def _in_one_piece(segments: Sequence[Segment]) -> dict[str, Any]:
    """All facts behind each other, and the rows with the places of theirs."""
    rows, at = [], 1
    for segment in segments:
        size = len(segment.facts)
        rows.append((segment.session_id, segment.first, segment.last, segment.run_id, at, size))
        at += size
    return {"rows": orjson.dumps(rows).decode(), "frames": b"".join(s.facts for s in segments)}


def _upsert_on_postgresql() -> Prepared:
    statement = postgresql.insert(event_segments).values(created_at=now())
    replaced = {name: statement.excluded[name] for name in ("last", "run_id", "frames", "created_at")}
    upsert = statement.on_conflict_do_update(index_elements=["session_id", "first"], set_=replaced)
    return Prepared(upsert, columns=_COLUMNS)


_UPSERT_ON_POSTGRESQL: Final = _upsert_on_postgresql()
_UPSERT_ON_SQLITE: Final = Prepared(
    text(f"""
        INSERT INTO event_segments (session_id, first, last, run_id, frames, created_at)
        SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
               json_extract(value, '$[3]'), substr(:frames, json_extract(value, '$[4]'), json_extract(value, '$[5]')),
               {NOW_ON_SQLITE}
        FROM json_each(:rows) WHERE true
        ON CONFLICT (session_id, first) DO UPDATE SET last = excluded.last, run_id = excluded.run_id,
               frames = excluded.frames, created_at = excluded.created_at
    """)  # noqa: S608 - made of our own words
)
"""All of them in one step: between two the driver gives the interpreter away, and gets it back late from the thread
that reads the models."""
