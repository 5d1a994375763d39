"""Rules that hold for the events of a session of the Managed Agents API after a step of the walk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import orjson
from sqlalchemy import select

from app.store.managed_tables import told_events
from app.store.store import Store

Rows = Sequence[Any]
Event = dict[str, Any]


def broken_events(store: Store, session: str, told: Sequence[Event]) -> Iterator[str]:
    """`told` are the events that a stream has shown."""
    with store.database.reading() as connection:
        query = select(told_events).where(told_events.c.session_id == session).order_by(told_events.c.number)
        rows = connection.execute(query).all()
    if [row.number for row in rows] != list(range(1, len(rows) + 1)):
        yield f"the events are numbered {[(row.number, row.type) for row in rows]}"
    times = [row.processed_at for row in rows if row.processed_at is not None]
    if times != sorted(times) or len(set(times)) < len(times):
        yield "the events' times are not in their order"
    yield from _shown(rows, told)
    yield from _turns([row.type for row in rows])
    yield from _calls([{"id": row.id, "type": row.type, **orjson.loads(row.body_json)} for row in rows])


def _shown(rows: Rows, told: Sequence[Event]) -> Iterator[str]:
    """An event that was shown is stored, with the same words, and was shown once."""
    stored = {row.id: (row.type, orjson.loads(row.body_json)) for row in rows}
    shown = [event for event in told if not event["type"].startswith("event_")]
    for event in shown:
        known = stored.get(event["id"])
        if known is None or known[0] != event["type"] or any(event[key] != known[1][key] for key in known[1]):
            yield f"{event} was shown, and this is stored: {known}"
    yield from (f"{one} was shown {n} times" for one, n in Counter(e["id"] for e in shown).items() if n > 1)


def _turns(kinds: Sequence[str]) -> Iterator[str]:
    """Nothing begins twice without an end; each request of the model has one. A run whose process died before it told
    anything has an end all the same."""
    for begun, ended in (
        ("session.status_running", "session.status_idle"),
        ("session.thread_status_running", "session.thread_status_idle"),
        ("span.model_request_start", "span.model_request_end"),
    ):
        found = [kind for kind in kinds if kind in (begun, ended)]
        if any(one == after == begun for one, after in pairwise([*found, begun])):
            yield f"{begun} has no end in {found}"
        if found.count(ended) > found.count(begun) + kinds.count("session.error"):
            yield f"{ended} comes too often in {found}"
    if kinds.count("span.model_request_start") != kinds.count("span.model_request_end"):
        yield "not each request of the model has an end"
    if kinds and kinds[-1] != "session.status_idle":
        yield f"the last event is {kinds[-1]}"


def _calls(events: Sequence[Event]) -> Iterator[str]:
    """Each call has one result, and at most one confirmation; the session is idle for a call once."""
    uses = [event["id"] for event in events if event["type"] in ("agent.tool_use", "agent.custom_tool_use")]
    results = [
        event.get("tool_use_id") or event["custom_tool_use_id"]
        for event in events
        if event["type"] in ("agent.tool_result", "user.custom_tool_result")
    ]
    if sorted(uses) != sorted(results):
        yield f"the calls are {uses}, and these have results: {results}"
    confirmed = Counter(event["tool_use_id"] for event in events if event["type"] == "user.tool_confirmation")
    yield from (f"{use} was confirmed {count} times" for use, count in confirmed.items() if count > 1)
