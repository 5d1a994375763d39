"""A session of the Managed Agents API, followed: what is stored as an event, and previews of what is being said.

Stored events are read from the database when the session's event log tells that something has happened; the log itself
has the pieces of unfinished messages. Whatever this stream shows, a list shows already. A request thread is needed only
to read what is stored: pieces are sent by the writer of all streams.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import orjson

from app.conversation.event_facts import EventFact
from app.errors import StoreUnavailable
from app.managed.previews import PREVIEWS, Previews
from app.managed.session_json import event_json
from app.managed.stream_poller import LOOK_SECONDS, StreamPoller
from app.runtime.streams.event_reader import Behind, EventReader
from app.runtime.streams.reader_factory import ReaderFactory
from app.sse_format import split
from app.store.store import Store
from app.store.told_events import Told

Json = dict[str, Any]


class FollowedSession:
    """Used by one thread at a time, as an `EventReader` is."""

    def __init__(
        self,
        store: Store,
        readers: ReaderFactory,
        poller: StreamPoller,
        session_id: str,
        *,
        thread: str = "",
        previews: frozenset[str],
        behind: str,
        ended: bool,
        may_see: Callable[[int], bool] | None = None,
    ) -> None:
        """`thread` is the session of the thread that is followed, unless it is the primary one: what happens there is
        in the log of its session. `behind` is the id of the last event that the client has seen; without it the stream
        begins now. `ended`: it shows what there is, and ends. `may_see` is asked once something has been read, before
        it is shown, with the number of the last call's event; the stream ends when it says no. It asks the store, so
        such a stream has a thread."""
        self._may_see = may_see
        self._call = 0
        self._store = store
        self._poller = poller
        self.session_id = thread or session_id
        self._previews = Previews(self.session_id, previews)
        self._held: Sequence[bytes] = ()  # facts that the log has given, and that wait for what is stored
        self._ended = ended
        self._over = False
        after = readers.whole_until(session_id)
        last = store.told.find(self.session_id, behind) if behind else None
        known = last.number if last is not None and last.number is not None else None
        self.last = store.told.last_place(self.session_id).number if known is None else known
        self._reader: EventReader = readers.of_session(session_id, after)
        self._is_new = True
        self._is_behind = False  # something is stored that the log does not tell
        poller.add(self)

    def next(self, timeout: float) -> bytes | None:
        """Frames that have not been read yet; b"" if there are none for so many seconds, None at the end."""
        frames = self._read(timeout)
        if frames is not None and self._may_see is not None and not self._may_see(self._call):
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
        facts, self._held = self._held, ()
        deadline = time.monotonic() + timeout
        while not facts:
            remaining = max(0.0, deadline - time.monotonic())
            found = self._reader.next(min(remaining, LOOK_SECONDS))
            if found is None:
                return None
            facts = split(found)
            if not facts and (self._is_behind or remaining <= LOOK_SECONDS):
                return self._stored()
        return b"".join(self._frames(facts))

    def take(self) -> bytes | None:
        """As that of an `EventReader`: only facts that are behind something stored need the store."""
        if self._held or self._is_behind:
            raise Behind
        found = self._reader.take()
        if not found:
            return found
        facts, frames = split(found), b""
        for place, fact in enumerate(facts):
            piece = self._previews.piece(EventFact.read(fact))
            if piece is None:
                self._held = facts[place:]
                break
            frames += piece
        if self._held and not frames:
            raise Behind
        return frames

    def _frames(self, facts: Sequence[bytes]) -> Iterator[bytes]:
        """Whatever these facts tell of was stored before they were told, so one look at the store is enough."""
        has_looked = False
        for fact in map(EventFact.read, facts):
            if fact.type == "session_exited":
                self._over = True
                yield _frame("session.deleted", {"type": "session.deleted"})
                return
            piece = self._previews.piece(fact)
            if piece is None:
                if not has_looked:
                    has_looked = True
                    yield self._stored()
                shown = self._previews.shown_by(fact)
                if shown and self._was_told(shown):
                    self._previews.tell(shown)
                piece = self._previews.begin(fact)
            yield piece

    def _was_told(self, shown: str) -> bool:
        """To this reader, or before it came: the log may have pieces of a message that the reader's place is behind."""
        try:
            event = self._store.told.find(self.session_id, shown)
        except StoreUnavailable:
            return False
        return event is not None and event.number is not None and event.number <= self.last

    def _stored(self) -> bytes:
        """The events that have been stored since."""
        frames, self._is_behind = b"", False
        try:
            while found := self._store.told.after(self.session_id, self.last):
                self.last = found[-1].number or self.last
                self._call = last_call(found) or self._call
                frames += b"".join(map(_stored_frame, found))
                for event in found:
                    if event.type in PREVIEWS:
                        self._previews.tell(event.id)
        except StoreUnavailable:
            pass  # they are shown with the next ones
        return frames

    # ---- the rest of what a stream asks of its reader

    @property
    def at_end(self) -> bool:
        return self._over or self._ended or (self._reader.at_end and not self._held)

    @property
    def can_be_carried(self) -> bool:
        return (
            self._may_see is None
            and not (self._held or self._ended or self._over)
            and self._reader.can_be_carried
        )

    @property
    def interrupted(self) -> bool:
        return self._reader.interrupted

    def listen(self, listener: Callable[[], None]) -> None:
        self._reader.listen(listener)

    def ignore(self, listener: Callable[[], None]) -> None:
        self._reader.ignore(listener)

    def look(self) -> None:
        self._is_behind = True
        self._reader.wake()

    def interrupt(self) -> None:
        self._reader.interrupt()

    def give_up(self) -> None:
        self._reader.give_up()

    def close(self) -> None:
        self._poller.remove(self)
        self._reader.close()


def last_call(events: Sequence[Told]) -> int:
    """The number of the last event that tells of a call; 0 if none does."""
    return max((event.number or 0 for event in events if event.type == "agent.tool_use"), default=0)


def _stored_frame(event: Told) -> bytes:
    return b"id: " + event.id.encode() + b"\n" + _frame(event.type, event_json(event))


def _frame(kind: str, body: Json) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps(body))
