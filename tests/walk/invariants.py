"""Rules that hold for a session after a step of the walk, besides the promises that hold for every database."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from app.conversation.run import COMPACTION, RETRIES
from app.store.store import Store
from app.store.tables import (
    event_segments,
    messages,
    queued_messages,
    runs,
    sessions,
    summaries,
    tool_calls,
)
from tests.chaos.invariants import Rows, broken_promises, event_types
from tests.walk.journal import read
from tests.walk.order import Order


@dataclass
class Told:
    """The facts that a child told before its end."""

    events: list[dict[str, Any]] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)  # queued messages that the server said it has
    begun: list[str] = field(default_factory=list)  # runs that it said it has begun without a message
    paused: bool = False  # the server said that the first run would wait before its next model call
    report: dict[str, Any] = field(default_factory=dict)  # empty if the child was killed


def broken(store: Store, order: Order, told: Told) -> list[str]:
    """In words; empty if all is well."""
    with store.database.reading() as connection:
        ours = [order.session]
        query = select(sessions.c.id).where(sessions.c.parent_id == order.session)
        ours += connection.execute(query).scalars().all()
        rows = {
            table.name: connection.execute(select(table).where(table.c.session_id.in_(ours))).all()
            for table in (messages, queued_messages, tool_calls, runs, event_segments, summaries)
        }
    found = [problem for session in ours for problem in broken_promises(store, only=session)]
    found += _ledger(rows["tool_calls"], Counter(read(order.journal) + read(order.shell_journal)))
    found += _acknowledged(rows["messages"], told)
    found += _begun_once(rows["runs"], told)
    found += _summed_up(rows["summaries"], rows["runs"], told)
    found += _paused(rows["runs"], rows["event_segments"], told)
    if store.sessions.get(order.session).choices.pause:
        found.append("a pause is still wanted, though the session's last run has ended by itself")
    found += _said_once(rows["messages"], rows["queued_messages"], order, told)
    return found


def _ledger(calls: Rows, ran: Counter[str]) -> Iterator[str]:
    """The journal says what took effect: never twice, once for a call that is completed, and nothing for a call of
    which the model was told that it was not run or has failed."""
    yield from (f"{name} took effect {count} times" for name, count in ran.items() if count > 1)
    for call in calls:
        if (name := _name(call)) is None:
            continue
        if call.state == "completed" and not ran[name]:
            yield f"{name} is completed, and took no effect"
        if call.state in ("failed", "rejected") and ran[name]:
            yield f"{name} took effect, and is {call.state}"
        if call.state == "cancelled" and call.started_at is None and ran[name]:
            yield f"{name} took effect, and the model was told that it was not run"


def _name(call: Any) -> str | None:
    """The name that the call writes to a journal; None if it writes nothing."""
    arguments = json.loads(call.arguments_json)
    if call.name in ("shell", "bash"):
        return str(arguments.get("cmd") or arguments["command"]).split()[1]
    return arguments.get("name") if call.name in ("note", "pay", "wait") else None


def _acknowledged(rows: Rows, told: Told) -> Iterator[str]:
    """A fact that an event told of is stored."""
    blocks = [block for row in rows for block in json.loads(row.content_json)]
    results = {block["tool_use_id"]: block for block in blocks if block["type"] == "tool_result"}
    for event in told.events:
        if event["type"] == "tool_call_response":
            stored = results.get(event["tool_call"]["id"])
            if stored is None or stored["content"] != event["response"]:
                yield f"the result of {event['tool_call']['id']} was told, and this is stored: {stored}"
    replayed = len(
        {event["tool_call"]["id"] for event in told.events if event["type"] == "tool_call_response"}
    )
    if replayed > len(results):
        yield f"{replayed} results were told of, and {len(results)} are stored"


def _said_once(rows: Rows, queue: Rows, order: Order, told: Told) -> Iterator[str]:
    """The user's message is there once, or not at all if the server never said that it has it."""
    here = [row for row in rows if row.session_id == order.session]
    said = [row.content_json for row in here if row.role == "user" and order.word in row.content_json]
    waiting = [row.content_json for row in queue if row.position is None]
    for text in [f"{order.word}left", f"{order.word}later"]:
        count = sum(text in content for content in [*said, *waiting])
        if count > 1 or (text in told.accepted and not count):
            yield f"{text} was {'accepted and' if text in told.accepted else 'not accepted and'} said {count} times"
    scripts = sum("[then]" in content for content in said)
    if scripts > 1:
        yield f"the message that began it was said {scripts} times"


def _begun_once(rows: Rows, told: Told) -> Iterator[str]:
    """A run that was told of is stored, and one turn is taken up again by one run."""
    stored = {row.id: json.loads(row.options_json) for row in rows}
    yield from (f"run {run} was begun, and is not stored" for run in told.begun if run not in stored)
    again = [run for run, options in stored.items() if RETRIES in options]
    if len(again) > 1:
        yield f"one turn was taken up again by {len(again)} runs"
    finished = {row.id for row in rows if row.status == "finished"}
    for run in again:
        if stored[run][RETRIES] in finished:
            yield f"run {run} takes up a turn that had not failed"


def _paused(rows: Rows, segments: Rows, told: Told) -> Iterator[str]:
    """A run that was to wait, and ended by itself, has waited. A process that is killed may take the event with it."""
    first = min(rows, key=lambda row: row.started_at, default=None)
    if not (told.paused and told.report) or first is None or first.status != "finished":
        return
    if "runtime_paused" not in {*event_types(segments, first), *(event["type"] for event in told.events)}:
        yield f"run {first.id} did not wait, though its pause was wanted"


def _summed_up(rows: Rows, begun: Rows, told: Told) -> Iterator[str]:
    """A summary that was told of is stored, each once, and only if somebody wanted one."""
    wanted = sum(COMPACTION in json.loads(row.options_json) for row in begun)
    if len(rows) > wanted:
        yield f"{wanted} summaries were wanted, and {len(rows)} are stored"
    stored = [row.summary for row in rows]
    for event in told.events:
        if event["type"] == "session_summary" and event["summary"] not in stored:
            yield f"this summary was told, and is not stored: {event['summary']!r}"
