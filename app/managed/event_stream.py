"""A session of the Managed Agents API, followed: what is stored as an event, and previews of what is being said.

Stored events are read from the database when the session's event log tells that something has happened; the log itself
has the pieces of unfinished messages. Whatever this stream shows, a list shows already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import orjson

from app.conversation.event_facts import EventFact
from app.door_ids import event_id, thinking_event_id
from app.errors import StoreUnavailable
from app.managed.session_json import event_json
from app.runtime.streams.event_reader import EventReader
from app.runtime.streams.reader_factory import ReaderFactory
from app.sse_format import split
from app.store.store import Store
from app.store.told_events import Told

Json = dict[str, Any]

PREVIEWS: Final = ("agent.message", "agent.thinking")

_UNTOLD: Final = frozenset(
    {"agent_choice", "agent_choice_reasoning", "partial_tool_call", "tool_call_output", "session_title"}
)
"""Facts with which no event is stored."""


class FollowedSession:
    """Used by one request thread, as an `EventReader` is."""

    def __init__(
        self,
        store: Store,
        readers: ReaderFactory,
        session_id: str,
        *,
        thread: str = "",
        previews: frozenset[str],
        behind: str,
        ended: bool,
        may_see: Callable[[int], bool] = lambda _: True,
    ) -> None:
        """`thread` is the session of the thread that is followed, unless it is the primary one: what happens there is
        in the log of its session. `behind` is the id of the last event that the client has seen; without it the stream
        begins now. `ended`: it shows what there is, and ends. `may_see` is asked once something has been read, before
        it is shown, with the number of the last call's event; the stream ends when it says no."""
        self._may_see = may_see
        self._call = 0
        self._store = store
        self._session_id = thread or session_id
        self._previews = previews
        self._begun = ""  # the message that is previewed
        self._thought = ""  # the message before which the model thinks
        self._is_whole = True
        self._ended = ended
        self._over = False
        after = readers.whole_until(session_id)
        last = store.told.find(self._session_id, behind) if behind else None
        known = last.number if last is not None and last.number is not None else None
        self._last = store.told.last_place(self._session_id).number if known is None else known
        self._reader: EventReader = readers.of_session(session_id, after)
        self._is_new = True

    def next(self, timeout: float) -> bytes | None:
        """Frames that have not been read yet; b"" if there are none for so many seconds, None at the end."""
        frames = self._read(timeout)
        if frames is not None and not self._may_see(self._call):
            self._over = True
            return None
        return frames

    def _read(self, timeout: float) -> bytes | None:
        if self._over:
            return None
        if self._is_new:
            self._is_new = False
            if frames := self._stored():
                return frames
        if self._ended:
            return None
        facts = self._reader.next(timeout)
        if facts is None:
            return None
        return b"".join(self._frames(facts)) if facts else self._stored()

    def _frames(self, facts: bytes) -> Iterator[bytes]:
        for fact in map(EventFact.read, split(facts)):
            if fact.type == "session_exited":
                self._over = True
                yield _frame("session.deleted", {"type": "session.deleted"})
                return
            if fact.type in _UNTOLD:
                yield from self._preview(fact)
            else:
                yield self._stored()

    def _stored(self) -> bytes:
        """The events that have been stored since."""
        frames = b""
        try:
            while found := self._store.told.after(self._session_id, self._last):
                self._last = found[-1].number or self._last
                self._call = last_call(found) or self._call
                frames += b"".join(map(_stored_frame, found))
        except StoreUnavailable:
            pass  # they are shown with the next ones
        return frames

    def _preview(self, fact: EventFact) -> Iterator[bytes]:
        """Of one message after the other: that the model thinks, the message's beginning, and its first text, piece by
        piece."""
        said, is_own = fact.fields.get("message_id", ""), fact.fields.get("session_id") == self._session_id
        if fact.type == "agent_choice_reasoning" and is_own and "agent.thinking" in self._previews:
            if said != self._thought:
                self._thought = said
                yield from self._start("agent.thinking", thinking_event_id(said))
        elif fact.type == "agent_choice" and is_own and "agent.message" in self._previews:
            shown = event_id(said)
            if shown != self._begun:
                self._begun, self._is_whole = shown, True
                yield from self._start("agent.message", shown)
            if self._is_whole:
                text = {"type": "text", "text": fact.fields["content"]}
                delta = {"type": "content_delta", "index": 0, "content": text}
                yield _frame("event_delta", {"type": "event_delta", "event_id": shown, "delta": delta})
        elif fact.type == "partial_tool_call":
            self._is_whole = False  # what is said after a call is another text

    def _start(self, kind: str, shown: str) -> Iterator[bytes]:
        """Behind the start of the model's request, of which the log knows nothing; not if the event itself was told, as
        to a reader that is late."""
        yield self._stored()
        if self._was_told(shown):
            self._is_whole = False
            return
        yield _frame("event_start", {"type": "event_start", "event": {"type": kind, "id": shown}})

    def _was_told(self, shown: str) -> bool:
        try:
            event = self._store.told.find(self._session_id, shown)
        except StoreUnavailable:
            return False
        return event is not None and event.number is not None and event.number <= self._last

    # ---- the rest of what a stream asks of its reader

    @property
    def at_end(self) -> bool:
        return self._over or self._ended or self._reader.at_end

    def interrupt(self) -> None:
        self._reader.interrupt()

    def give_up(self) -> None:
        self._reader.give_up()

    def close(self) -> None:
        self._reader.close()


def last_call(events: Sequence[Told]) -> int:
    """The number of the last event that tells of a call; 0 if none does."""
    return max((event.number or 0 for event in events if event.type == "agent.tool_use"), default=0)


def _stored_frame(event: Told) -> bytes:
    return b"id: " + event.id.encode() + b"\n" + _frame(event.type, event_json(event))


def _frame(kind: str, body: Json) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps(body))
