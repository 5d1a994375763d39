"""After the chaos: every session works again, and everything that must hold is true of what is stored."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from app.store.event_segments import segment_of
from app.store.tables import (
    event_segments,
    messages,
    queued_messages,
    tool_calls,
)
from app.web.wire_encoders import LATER
from tests.chaos.cluster import Cluster
from tests.chaos.invariants import broken_promises
from tests.chaos.notes import Notes, SessionNotes
from tests.chaos.watcher import FRAME, Watcher, replays, unbroken
from tests.harness.process import eventually
from tests.harness.wire import Client, Event, Stream
from tests.while_it_runs.cutting import Cutter

TRIES = 4


def every_session_works(cluster: Cluster, notes: Notes, sessions: list[SessionNotes]) -> None:
    with cluster.clients() as clients:
        for index, session in enumerate(sessions):
            client = clients[index % len(clients)]
            eventually(
                lambda client=client, session=session: _free(client, session),
                f"session {session.id} is free",
                seconds=30,
            )
            refusals: list[str] = []
            while (refusal := _refusal(client, session, notes)) and len(refusals) < TRIES:
                refusals.append(refusal)
            if refusal:
                notes.problem(f"session {session.id} does not work any more: {refusals}")


def _free(client: Client, session: SessionNotes) -> bool:
    run = client.session(session.id).get("run")
    if run is not None:
        client.post(f"/api/sessions/{session.id}/cancel")
    return run is None


def _refusal(client: Client, session: SessionNotes, notes: Notes) -> str:
    """Why a last message did not work, or nothing. A message whose run died before it was answered is said once more
    with it, with its tools, but without its faults."""
    word = notes.new_word()
    session.said.add(word)
    response = client.try_run(session.id, f"{word} [calm][say at last]", agent="tools")
    if response.status_code != 200:
        eventually(lambda: _free(client, session), "the session is free", seconds=30)
        return response.text
    with Stream(response) as stream:
        for event in stream:
            _agree(client, session, event)
    session.acknowledged.add(word)
    eventually(lambda: _free(client, session), "the session is free", seconds=30)
    return "".join(event["error"] for event in stream.events if event["type"] == "error")


def _agree(client: Client, session: SessionNotes, event: Event) -> None:
    if event["type"] == "tool_call_confirmation":
        client.resume(session.id, "approve")
    elif event["type"] == "elicitation_request":
        client.post(f"/api/sessions/{session.id}/elicitation", {"action": "accept", "content": {}})


def everything_holds(cluster: Cluster, notes: Notes, sessions: list[SessionNotes]) -> None:
    for words in broken_promises(cluster.store):
        notes.problem(words)
    marks = Counter(cluster.marks.read_text().split() if cluster.marks.exists() else [])
    with cluster.store.database.reading() as connection:
        for session in sessions:
            rows = {
                table.name: connection.execute(select(table).where(table.c.session_id == session.id)).all()
                for table in (messages, queued_messages, tool_calls)
            }
            for problem in (
                *_words(session, rows),
                *_acknowledged(session, rows),
                *_tools(session, rows, marks),
            ):
                notes.problem(f"session {session.id}: {problem}")


def everybody_saw_the_same(cluster: Cluster, notes: Notes, watchers: Sequence[Watcher]) -> None:
    """Every reader has seen the stored events, byte for byte, each once, whatever was cut and killed meanwhile."""
    for watcher in watchers:
        for problem in watcher.problems(_stored(cluster, watcher.session_id)):
            notes.problem(f"session {watcher.session_id}: {problem}")


def everything_can_be_read_again(
    cluster: Cluster, notes: Notes, sessions: Sequence[SessionNotes], chance: random.Random, *, cuts: int
) -> None:
    """F37: by a client that is cut at random bytes so many times, and goes on at another server."""
    stored = {session.id: _stored(cluster, session.id) for session in sessions}
    longest = max((len(frame) for frames in stored.values() for frame in frames.values()), default=0)
    cutter = Cutter(chance, mean_bytes=max(400, longest))
    while cutter.cuts < cuts and any(stored.values()):
        for session_id, frames in stored.items():
            for after, last in unbroken(frames):
                seen = cutter.collect(replays(cluster, session_id), after=after, last=last)
                if seen != b"".join(LATER.encode(frames[number]) for number in range(after + 1, last + 1)):
                    notes.problem(f"session {session_id}: events {after + 1} to {last} were read otherwise")
    notes.counts["reading again: cut"] += cutter.cuts


def _stored(cluster: Cluster, session_id: str) -> dict[int, bytes]:
    """The session's frames by number."""
    query = select(event_segments).where(event_segments.c.session_id == session_id)
    with cluster.store.database.reading() as connection:
        rows = connection.execute(query.order_by(event_segments.c.first)).all()
    frames = b"".join(segment_of(row).facts for row in rows)
    return {int(match[1]): match[0] for match in FRAME.finditer(frames)}


def _words(session: SessionNotes, rows: dict[str, Any]) -> list[str]:
    """A person's message is there once or not at all; once if it was acknowledged, not if it was refused."""
    users = [row.content_json for row in rows["messages"] if row.role == "user"]
    waiting = [row.content_json for row in rows["queued_messages"] if row.position is None]
    found = Counter({word: sum(word in text for text in (*users, *waiting)) for word in session.said})
    return [
        *(f"{word} was said {found[word]} times" for word in session.said if found[word] > 1),
        *(f"{word} was acknowledged and is lost" for word in session.acknowledged if not found[word]),
        *(f"{word} was refused and is there" for word in session.refused if found[word]),
    ]


def _acknowledged(session: SessionNotes, rows: dict[str, Any]) -> list[str]:
    stored = sum(row.role != "user" for row in rows["messages"])
    if stored < session.messages_seen:
        return [f"{session.messages_seen} messages were told of, and {stored} are stored"]
    return []


def _tools(session: SessionNotes, rows: dict[str, Any], marks: Counter[str]) -> list[str]:
    """Each call that ran left one mark; one whose outcome is unknown may have left one."""
    certain: Counter[str] = Counter()
    possible: Counter[str] = Counter()
    for call in rows["tool_calls"]:
        for mark in session.tools:
            if call.name == "shell" and mark in json.dumps(json.loads(call.arguments_json)):
                certain[mark] += call.state == "completed"
                possible[mark] += call.state in ("completed", "unknown", "cancelled") and bool(
                    call.started_at
                )
    return [
        *(
            f"a tool ran {marks[mark]} times, in {certain[mark]} to {possible[mark]} calls"
            for mark in session.tools
            if not certain[mark] <= marks[mark] <= possible[mark]
        ),
        *(
            f"call {call.id} expired long before its time"
            for call in rows["tool_calls"]
            if "expired" in call.decision
        ),
    ]
