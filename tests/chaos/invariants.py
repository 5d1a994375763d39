"""Rules that hold for a database in which no run is alive, whatever has happened to its servers.

Only what the database itself remembers counts: the order of messages and whose run wrote each, the times of
the runs by the database's clock, the ledger of tool calls, the stored events.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from typing import Any

from sqlalchemy import Row, bindparam, select

from app.conversation.run import LIVE, OPEN_CALL
from app.conversation.transcript import Message, Transcript
from app.errors import InvalidTranscript
from app.store.event_segments import segment_of
from app.store.session_rows import read_messages
from app.store.store import Store
from app.store.tables import (
    event_segments,
    messages,
    runs,
    sessions,
    tool_calls,
)

Rows = Sequence[Row[Any]]

_ORDERS = {
    messages: messages.c.position,
    runs: runs.c.started_at,
    tool_calls: tool_calls.c.position,
    event_segments: event_segments.c.first,
}


_parent = sessions.alias()
_RUNS_THAT_WRITE = select(runs.c.id).where(
    runs.c.session_id.in_(
        select(sessions.c.id)
        .where(sessions.c.id == bindparam("here"))
        .union(select(_parent.c.parent_id).where(_parent.c.id == bindparam("here")))
    )
)
"""A session's own runs, and those that may have given it a task."""


def broken_promises(store: Store, *, only: str | None = None) -> list[str]:
    """Every promise that some session's rows break, in words; empty if all is well."""
    found = []
    with store.database.reading() as connection:
        ids = [only] if only else [row.id for row in connection.execute(select(sessions.c.id))]
        for session_id in ids:
            rows = {
                table.name: connection.execute(
                    select(table).where(table.c.session_id == session_id).order_by(order)
                ).all()
                for table, order in _ORDERS.items()
            }
            known = connection.execute(_RUNS_THAT_WRITE, {"here": session_id}).scalars().all()
            problems = [
                *_orphans(rows, set(known)),
                *_transcript(read_messages(connection, session_id)),
                *_of_rows(rows),
            ]
            found += [f"session {session_id}: {problem}" for problem in problems]
    return found


def _of_rows(rows: dict[str, Rows]) -> Iterator[str]:
    yield from _one_writer(rows["messages"])
    yield from _one_holder(rows["runs"])
    yield from _ledger(rows["tool_calls"], rows["messages"])
    yield from _events(rows["event_segments"], rows["runs"])


def _orphans(rows: dict[str, Rows], known: set[str]) -> Iterator[str]:
    """Every row that names a run names one that there is."""
    for table in ("messages", "tool_calls", "event_segments"):
        for run_id in {row.run_id for row in rows[table]} - known - {None}:
            yield f"rows of {table} belong to run {run_id}, which never was"


def _transcript(said: Sequence[Message]) -> Iterator[str]:
    """Valid as it is stored, every call answered: nothing had to be healed."""
    try:
        transcript = Transcript.of(said)
    except InvalidTranscript as problem:
        yield f"the stored transcript is not valid: {problem.message}"
        return
    if transcript.open_calls:
        yield f"no run is alive, and these calls have no result: {transcript.open_calls}"


def _one_writer(rows: Rows) -> Iterator[str]:
    """Each run's messages stand together: nobody wrote into the middle of another's."""
    blocks = Counter(run_id for run_id, _ in groupby(row.run_id for row in rows))
    yield from (
        f"the messages of run {run} are interleaved with others'" for run in blocks if blocks[run] > 1
    )
    if [row.position for row in rows] != list(range(len(rows))):
        yield "there is a hole in the transcript"


def _one_holder(rows: Rows) -> Iterator[str]:
    """By the database's clock, each run began after the one before it had ended."""
    for run in rows:
        if run.status in LIVE:
            yield f"run {run.id} is still {run.status}"
        elif run.ended_at is None:
            yield f"run {run.id} is {run.status}, but nobody knows since when"
    for earlier, later in pairwise(rows):
        if earlier.ended_at is not None and later.started_at < earlier.ended_at:
            yield f"runs {earlier.id} and {later.id} held the session at the same time"


def _ledger(calls: Rows, rows: Rows) -> Iterator[str]:
    """Every call has ended, and the model was told once how."""
    results = {}
    told = Counter[str]()
    for block in (block for row in rows if row.role == "tool" for block in json.loads(row.content_json)):
        told[block["tool_use_id"]] += 1
        results[block["tool_use_id"]] = block
    for call in calls:
        if call.state in OPEN_CALL:
            yield f"call {call.id} is still {call.state}"
        if told[call.id] != 1:
            yield f"the model was told {told[call.id]} times of the outcome of call {call.id}"
            continue
        if (call.state != "completed") != bool(results[call.id].get("is_error")):
            yield f"call {call.id} is {call.state}, and its result says something else"
        if call.state == "unknown" and "not known" not in results[call.id]["content"]:
            yield f"the model was not told that the outcome of call {call.id} is unknown"


def _events(segments: Rows, rows: Rows) -> Iterator[str]:
    """Numbers rise, no two events share one, and each run's stream has one end, which is its last event."""
    for earlier, later in pairwise(segments):
        if later.first <= earlier.last:
            yield f"two events have the number {later.first}"
    blocks = Counter(run_id for run_id, _ in groupby(segment.run_id for segment in segments))
    yield from (f"the events of run {run} are interleaved with others'" for run in blocks if blocks[run] > 1)
    for run in rows:
        types = event_types(segments, run)
        if types[-1:] != ["stream_stopped"] or types.count("stream_stopped") != 1:
            yield f"the events of run {run.id}, which is {run.status}, end with {types[-3:]}"


def event_types(segments: Rows, run: Any) -> list[str]:
    """Without the ends of tasks within the run, which have sessions of their own."""
    frames = b"".join(segment_of(row).facts for row in segments if row.run_id == run.id)
    events = [json.loads(line[6:]) for line in frames.split(b"\n") if line.startswith(b"data: ")]
    return [
        event["type"]
        for event in events
        if event["type"] != "stream_stopped" or event["session_id"] == run.session_id
    ]
