"""What events have told that no message holds: warnings, models that took over, calls that hooks forbade, summaries
that could not be made. It is known as long as the events are kept."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any, Final

from app import sse_format
from app.conversation.event_facts import EventFact
from app.store.store import Store

log = logging.getLogger(__name__)

Note = Mapping[str, Any]
"""The event's own fields, as its fact has them."""

_NOTES: Final = frozenset({"warning", "model_fallback", "hook_blocked", "error"})
_STEPS: Final = frozenset({"user_message", "message_added", "stream_started", "stream_stopped"})
_TOLD: Final = frozenset({*_NOTES, *_STEPS})


def told_notes(store: Store, session_id: str, *, until_run: str | None) -> dict[str, dict[int, list[Note]]]:
    """By session, the conversation's or a task's, and by the position of the last message before them, -1 for none.
    Those of the run `until_run` are left out, which its events tell again."""
    notes = _Notes(session_id)
    try:
        for fact in _facts(store, session_id, until_run):
            notes.take(fact)
    except ValueError:
        log.warning("the events of session %s can't be read any more", session_id, exc_info=True)
    return notes.placed


def _facts(store: Store, session_id: str, until_run: str | None) -> Iterator[EventFact]:
    after = 0
    while segments := store.events.read(session_id, after):
        for segment in segments:
            if segment.run_id == until_run:
                return
            for fact in map(EventFact.read, sse_format.split(segment.facts)):
                if fact.type in _TOLD:
                    yield fact
        after = segments[-1].last


class _Notes:
    """Follows the events of one session. The first message of a user says where it stands, and so where notes before it
    do."""

    def __init__(self, session_id: str) -> None:
        self.placed: dict[str, dict[int, list[Note]]] = {}
        self._own = session_id
        self._within = [session_id]
        self._positions: dict[str, int] = {}
        self._early: list[Note] = []
        self._error: list[Note] | None = None  # the notes that end with an error, if that was told last

    def take(self, fact: EventFact) -> None:
        kind, fields = fact.type, fact.fields
        session_id = str(fields.get("session_id", self._own))
        ending, self._error = self._error, None
        match kind:
            case "user_message":
                self._positions[session_id] = position = int(fields["session_position"])
                if self._early:
                    self.placed[session_id] = {position - 1: self._early}
                    self._early = []
            case "message_added" if session_id in self._positions:
                self._positions[session_id] += 1
            case "stream_started" if session_id != self._own:
                self._within.append(session_id)
                self._positions.setdefault(session_id, 0)  # its words were stored with it
            case "stream_stopped":
                if ending:
                    ending.pop()  # it has ended a run, or a task
                self._leave(session_id)
            case _ if kind in _NOTES:
                self._note(kind, fields)

    def _leave(self, session_id: str) -> None:
        if session_id in self._within[1:]:
            del self._within[self._within.index(session_id) :]
        else:
            del self._within[1:]

    def _note(self, kind: str, fields: Mapping[str, Any]) -> None:
        within = self._within[-1]
        position = self._positions.get(within)
        notes = (
            self._early if position is None else self.placed.setdefault(within, {}).setdefault(position, [])
        )
        notes.append(fields)
        if kind == "error":
            self._error = notes
