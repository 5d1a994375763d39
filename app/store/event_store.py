"""The written part of the event logs: segments of encoded frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import orjson
from sqlalchemy import Connection, bindparam, delete, func, select, text, update
from sqlalchemy.dialects import postgresql

from app.conversation.run import Baton
from app.store.engine import NOW_ON_SQLITE, Database, now
from app.store.fence import Fence
from app.store.listed import among, listed
from app.store.prepared import Prepared
from app.store.tables import event_segments, sessions


@dataclass(frozen=True, slots=True)
class Segment:
    """Encoded events of one run, in order; `last` is the number of the last one."""

    session_id: str
    run_id: str
    first: int
    last: int
    frames: bytes

    @property
    def count(self) -> int:
        return self.last - self.first + 1


_COLUMNS: Final = [field.name for field in fields(Segment)]

RESERVED_NUMBERS: Final = 100_000
"""Event numbers kept free beyond what is written while a run is live, and half of them always, so that a
crash never makes two events share one. A run that ends orderly gives back what it did not use."""


READ_BYTES: Final = 512 << 10
"""So much of a session's events is read at once, for a reader that has fallen behind."""


class EventStore:
    def __init__(self, database: Database, fence: Fence) -> None:
        self._database = database
        self._fence = fence

    def append(self, segments: Sequence[tuple[Baton, Segment]]) -> set[str]:
        """Stores segments of several live runs in one transaction, a constant number of statements; but none of
        a run that has lost its session, or whose session is gone. Returns the ids of the others."""
        if not segments:
            return set()
        with self._database.writing() as connection:
            held = self._fence.held(connection, [baton for baton, _ in segments])
            kept = [segment for baton, segment in segments if baton.run_id in held]
            if kept:
                write_segments(connection, kept)
                _reserve_numbers(connection, kept)
            return held

    def read(
        self, session_id: str, after: int, *, limit: int = 64, most_bytes: int = READ_BYTES
    ) -> list[Segment]:
        """Segments that hold events after that number, in order: at most so many, and of so many bytes together,
        unless the first one alone is larger."""
        wanted = (event_segments.c.session_id == session_id) & (event_segments.c.last > after)
        in_order = event_segments.c.last
        sizes = select(in_order, func.length(event_segments.c.frames)).where(wanted)
        with self._database.reading() as connection:
            found = connection.execute(sizes.order_by(in_order).limit(limit))
            top = _last_within(((last, size) for last, size in found), most_bytes)
            query = select(event_segments).where(wanted, in_order <= top).order_by(in_order)
            return [
                Segment(row.session_id, row.run_id, row.first, row.last, row.frames)
                for row in connection.execute(query)
            ]

    def newest(self, session_ids: Sequence[str]) -> dict[str, int]:
        """The number of the newest stored event of each session that has one."""
        with self._database.glance() as connection:
            rows = _NEWEST.all(connection, {"those": listed(session_ids)})
        return {session_id: int(last) for session_id, last in rows}

    def bounds(self, session_id: str) -> tuple[int, int]:
        """The numbers of the first and last stored event; (0, 0) if there is none."""
        query = select(func.min(event_segments.c.first), func.max(event_segments.c.last))
        with self._database.reading() as connection:
            first, last = connection.execute(query.where(event_segments.c.session_id == session_id)).one()
            return first or 0, last or 0

    def last_of(self, session_id: str, run_id: str) -> int | None:
        """The number of the newest stored event of a run; None if there is none."""
        query = select(func.max(event_segments.c.last)).where(
            event_segments.c.session_id == session_id, event_segments.c.run_id == run_id
        )
        with self._database.reading() as connection:
            last = connection.execute(query).scalar_one()
            return None if last is None else int(last)

    def prune(self, *, older_than_seconds: float, keep_events: int) -> int:
        """Drops segments that are too old, or too far behind the newest of their session. Returns how many."""
        peers = event_segments.alias()
        newest = (
            select(func.max(peers.c.last))
            .where(peers.c.session_id == event_segments.c.session_id)
            .scalar_subquery()
        )
        too_far_behind = event_segments.c.last <= newest - keep_events
        with self._database.writing() as connection:
            old = event_segments.c.created_at < now() - older_than_seconds
            deleted = connection.execute(delete(event_segments).where(old)).rowcount
            return deleted + connection.execute(delete(event_segments).where(too_far_behind)).rowcount


def _last_within(sizes: Iterable[tuple[int, int]], most_bytes: int) -> int:
    """The last number, of segments' last numbers and sizes, up to which they are small enough together; that of the
    first one in any case."""
    total, top = 0, 0
    for last, size in sizes:
        total += size
        if top and total > most_bytes:
            break
        top = last
    return top


def write_segments(connection: Connection, segments: Sequence[Segment]) -> None:
    """Writing the same events twice leaves them there once: a commit that was not seen is repeated."""
    if not segments:
        return
    if connection.dialect.name == "sqlite":
        _UPSERT_ON_SQLITE.run(connection, _in_one_piece(segments))
    else:
        _UPSERT_ON_POSTGRESQL.run_each(
            connection, [{name: getattr(segment, name) for name in _COLUMNS} for segment in segments]
        )


def _in_one_piece(segments: Sequence[Segment]) -> dict[str, Any]:
    """All frames behind each other, and the rows with the places of theirs."""
    rows, at = [], 1
    for segment in segments:
        size = len(segment.frames)
        rows.append((segment.session_id, segment.first, segment.last, segment.run_id, at, size))
        at += size
    return {"rows": orjson.dumps(rows).decode(), "frames": b"".join(s.frames for s in segments)}


def _reserve_numbers(connection: Connection, segments: Sequence[Segment]) -> None:
    """Behind what was written, where less than half of them are left: most rows stay as they are."""
    tops = [(segment.session_id, segment.last + 1 + RESERVED_NUMBERS) for segment in segments]
    spare = RESERVED_NUMBERS // 2
    if connection.dialect.name == "sqlite":
        _RESERVE_ON_SQLITE.run(connection, {"tops": listed(tops), "spare": spare})
    else:
        _RESERVE_ON_POSTGRESQL.run_each(
            connection, [{"here": here, "top": top, "needed": top - spare} for here, top in tops]
        )


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

_RESERVE_ON_POSTGRESQL: Final = Prepared(
    update(sessions)
    .where(sessions.c.id == bindparam("here"), sessions.c.next_event < bindparam("needed"))
    .values(next_event=bindparam("top"))
)
_RESERVE_ON_SQLITE: Final = Prepared(
    text("""
        UPDATE sessions SET next_event = wanted.top
        FROM (SELECT json_extract(value, '$[0]') AS here, json_extract(value, '$[1]') AS top FROM json_each(:tops))
             AS wanted
        WHERE sessions.id = wanted.here AND sessions.next_event < wanted.top - :spare
    """)
)
_NEWEST: Final = Prepared(
    select(event_segments.c.session_id, func.max(event_segments.c.last).label("newest"))
    .where(among(event_segments.c.session_id, "those"))
    .group_by(event_segments.c.session_id)
)


def frame(number: int, payload: bytes) -> bytes:
    """An event as it goes over the wire and into the store."""
    return b"id: %d\ndata: %b\n\n" % (number, payload)
