"""Everything that happened in a session, in its order: messages, tasks that were given away with all that happened in
them, summaries, runs that did not end well, and what only events have told, while they are kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from app.agent.delegation import FAILED, child_id
from app.conversation.blocks import result_text
from app.conversation.run import Run
from app.conversation.transcript import Message
from app.runtime.told_notes import told_notes
from app.store.history_store import CallFate, HistoryRows
from app.store.store import Store
from app.store.tree_store import TRANSFER

PAGE: Final = 200
"""How many messages are held at once."""


@dataclass(frozen=True, slots=True)
class Entry:
    """`depth` counts the tasks around it; `position` is that of the message it belongs to, in its own session."""

    session_id: str
    depth: int
    position: int


@dataclass(frozen=True, slots=True)
class Said(Entry):
    """`calls`: how the calls that the message makes are, by their ids."""

    message: Message
    calls: Mapping[str, CallFate] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TaskBegan(Entry):
    """`session_id` is the giver's, `task` the session in which it is done."""

    task: str
    call_id: str
    from_agent: str
    to_agent: str


@dataclass(frozen=True, slots=True)
class TaskEnded(TaskBegan):
    """Its giver goes on; `error`: because it failed."""

    error: str = ""


@dataclass(frozen=True, slots=True)
class SummedUp(Entry):
    """From here on the model was shown the summary in place of what was said before."""

    summary: str


@dataclass(frozen=True, slots=True)
class Told(Entry):
    """What only an event has told, with the event's own fields."""

    event: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class EndedBadly(Entry):
    run: Run


class SessionHistory:
    """One session's, as of the moment when it was made; messages are read while it is told."""

    def __init__(self, store: Store, rows: HistoryRows) -> None:
        self._store = store
        self.rows = rows
        at_work = rows.run.id if rows.run is not None else None
        self._notes = told_notes(store, rows.session.id, until_run=at_work)

    def entries(self) -> Iterator[Entry]:
        top = self.rows.session.id
        yield from self._session(top, 0, self.rows.last, self._bad_ends(top))

    def _bad_ends(self, top: str) -> dict[int, list[Entry]]:
        ends: dict[int, list[Entry]] = {}
        for end in self.rows.bad_ends:
            ends.setdefault(end.position, []).append(EndedBadly(top, 0, end.position, end.run))
        return ends

    def _session(
        self, session_id: str, depth: int, last: int, ends: Mapping[int, list[Entry]]
    ) -> Iterator[Entry]:
        summaries = list(self.rows.summaries.get(session_id, ()))
        notes = self._notes.get(session_id, {})
        for event in notes.get(-1, ()):
            yield Told(session_id, depth, -1, event)
        yield from ends.get(-1, ())
        for message in self._messages(session_id, last):
            place = message.position
            while summaries and summaries[0].made_at <= place:
                yield SummedUp(session_id, depth, place - 1, summaries.pop(0).text)
            fates = {call["id"]: self.rows.calls.get((session_id, call["id"])) for call in message.calls}
            yield Said(session_id, depth, place, message, {id: one for id, one in fates.items() if one})
            for call in message.calls:
                if call["name"] == TRANSFER:
                    yield from self._task(session_id, depth, message, call["id"])
            for event in notes.get(place, ()):
                yield Told(session_id, depth, place, event)
            yield from ends.get(place, ())
        for made in summaries:
            yield SummedUp(session_id, depth, last, made.text)

    def _messages(self, session_id: str, last: int) -> Iterator[Message]:
        for first in range(0, last + 1, PAGE):
            end = min(first + PAGE - 1, last)
            yield from self._store.sessions.page_of_messages(session_id, first=first, last=end)

    def _task(self, session_id: str, depth: int, message: Message, call_id: str) -> Iterator[Entry]:
        """What a call that gave a task away has led to, if it came to that."""
        task = self.rows.tasks.get(child_id(session_id, call_id))
        if task is None:
            return
        names = message.agent, task.agent.partition("/")[2]
        yield TaskBegan(session_id, depth, message.position, task.id, call_id, *names)
        last = self._store.sessions.last_position(task.id)
        yield from self._session(task.id, depth + 1, last, {})
        fate = self.rows.calls.get((session_id, call_id))
        if fate is not None and fate.state in ("completed", "failed"):
            error = self._failure(session_id, message, call_id) if fate.state == "failed" else ""
            yield TaskEnded(session_id, depth, message.position, task.id, call_id, *names, error=error)

    def _failure(self, session_id: str, message: Message, call_id: str) -> str:
        """The giver reads it as the call's result."""
        first, last = message.position + 1, message.position + len(message.calls)
        for row in self._store.sessions.page_of_messages(session_id, first=first, last=last):
            if row.content[0].get("tool_use_id") == call_id:
                return result_text(row.content[0]).removeprefix(FAILED)
        return ""
