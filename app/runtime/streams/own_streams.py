"""Which events of a session a follower's own program is told by another stream.

docker-agent's newest terminal follows a session beside the streams of its own runs, and shows twice what both bring. It
says nowhere that the two are its own. But it reads the session's snapshot, follows from the number in it, and asks for
its first run on the connection that brought the snapshot. The one follower of the same name, address and `User-Agent`
that has begun since then, at that number, is its second stream. Without this sign nothing is left out for anybody.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from app.conversation.event_facts import EventFact
from app.conversation.events import AlreadyTold
from app.event_encoder import EventEncoder
from app.runtime.streams.event_log import EndMark
from app.sse_format import numbered

MOST_REMEMBERED: Final = 1000
"""Snapshots that were shown, and programs in sessions."""

STREAMS_REMEMBERED: Final = 32
"""Of a program in a session. A follower that is further behind is told more than it needs."""


class Program(NamedTuple):
    """What all requests of one program have in common, and those of others may have too; `port` is its end of the
    connection that a request came on."""

    name: str
    address: str
    user_agent: str
    port: str


class _Place:
    """A program in a session."""

    def __init__(self) -> None:
        self.expected: tuple[int, int] | None = None  # its second stream will begin between these numbers
        self.followers: list[Follower] = []
        self.streams: tuple[OwnStream, ...] = ()  # oldest first

    @property
    def has_second(self) -> bool:
        return self.expected is not None or any(one.is_second for one in self.followers)


class OwnStream:
    """The stream of a run that its program has asked for. Used by the request's thread, then by its reader."""

    def __init__(self, guard: threading.Lock, place: _Place) -> None:
        self.end = EndMark()
        self.told = 0  # its client has everything up to there
        self.is_open = True
        self._first: int | None = None
        self._guard = guard
        self._place = place

    def begin(self, first: int, end: EndMark) -> None:
        """The run has begun; its first event has that number."""
        with self._guard:
            self._first, self.end, self.told = first, end, first - 1
            self._move()

    def advance(self, number: int) -> None:
        with self._guard:
            if number > self.told:
                self.told = number
                self._move()

    def close(self) -> None:
        """What it has not told is the second stream's to tell."""
        with self._guard:
            self.is_open = False
            self._move()

    @property
    def has_begun(self) -> bool:
        return self._first is not None

    def may_tell(self, number: int) -> bool:
        """Is the event with that number one of its run's, as far as is known?"""
        if self._first is None:
            return self.is_open
        return self._first <= number and (self.end.number is None or number <= self.end.number)

    def _move(self) -> None:
        for follower in self._place.followers:
            follower.moved.set()


class Follower:
    """A reader of a session, which may be the second stream of its program. Used by the reader's thread."""

    def __init__(self, guard: threading.Lock, place: _Place, session_id: str, since: int, order: int) -> None:
        self.since = since
        self.order = order
        self.is_second = False
        self.moved = threading.Event()  # set from any thread: there may be more to show, or to leave out
        self._guard = guard
        self._place = place
        self._session_id = session_id

    def waits_for(self, number: int, timeout: float, gave_up: Callable[[], bool]) -> bool:
        """Is it still open whether the other stream tells the event with that number? Waits so long for it."""
        self.moved.clear()
        if gave_up() or not self._is_open(number):
            return False
        self.moved.wait(timeout)
        return self._is_open(number)

    def sift(self, facts: Sequence[bytes]) -> tuple[list[bytes], int | None]:
        """Those of the facts that the other stream has not told, up to the first of which that is still open; and that
        one's number."""
        kept: list[bytes] = []
        with self._guard:
            for fact in facts:
                number = EventFact.read(fact).number
                stream = None if number is None else self._stream_of(number)
                if number is None or stream is None:
                    kept.append(fact)
                elif number > stream.told:
                    if stream.is_open:
                        return kept, number
                    kept.append(fact)
                elif number == stream.end.number:
                    told = AlreadyTold(session_id=self._session_id)
                    kept += numbered(number, EventEncoder().encode(told))
        return kept, None

    def leave(self, last: int) -> None:
        """It has read up to that number, and may come back anywhere before it."""
        with self._guard:
            self._place.followers.remove(self)
            if self.is_second:
                self._place.expected = (self.since, last)

    def _is_open(self, number: int) -> bool:
        with self._guard:
            stream = self._stream_of(number)
            return stream is not None and stream.is_open and number > stream.told

    def _stream_of(self, number: int) -> OwnStream | None:
        if not self.is_second:
            return None
        return next((one for one in reversed(self._place.streams) if one.may_tell(number)), None)


class OwnStreams:
    """Knows what came to this process. Shared by all request threads."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._order = 0
        self._shown: OrderedDict[tuple[str, Program], tuple[int, int]] = OrderedDict()
        self._places: OrderedDict[tuple[str, str, str, str], _Place] = OrderedDict()

    def show_snapshot(self, session_id: str, program: Program, last_event: int) -> None:
        """The program reads a snapshot of the session, which holds everything up to that event."""
        with self._guard:
            self._order += 1
            self._shown[session_id, program] = (last_event, self._order)
            _forget_oldest(self._shown)

    @contextmanager
    def asking(self, session_id: str, program: Program | None) -> Iterator[OwnStream | None]:
        """While the program asks for a run, its second stream waits; None if it has none. A stream that has begun
        inside is its reader's to close."""
        stream = None if program is None else self._ask(session_id, program)
        try:
            yield stream
        finally:
            if stream is not None and not stream.has_begun:
                stream.close()

    def follow(self, session_id: str, program: Program, since: int) -> Follower:
        """A reader of the session begins behind that number; it says when it will `leave`."""
        with self._guard:
            self._order += 1
            place = self._place(session_id, program)
            follower = Follower(self._guard, place, session_id, since, self._order)
            place.followers.append(follower)
            if place.expected is not None and place.expected[0] <= since <= place.expected[1]:
                follower.is_second, place.expected = True, None
            return follower

    def _ask(self, session_id: str, program: Program) -> OwnStream | None:
        with self._guard:
            place = self._place(session_id, program)
            if (shown := self._shown.pop((session_id, program), None)) is not None:
                last_event, order = shown
                new = [one for one in place.followers if (one.since, one.is_second) == (last_event, False)]
                new = [one for one in new if one.order > order]
                if len(new) == 1:
                    new[0].is_second = True
                elif not new:
                    place.expected = (last_event, last_event)
            if not place.has_second:
                return None
            stream = OwnStream(self._guard, place)
            place.streams = (*place.streams, stream)[-STREAMS_REMEMBERED:]
            return stream

    def _place(self, session_id: str, program: Program) -> _Place:
        key = (session_id, program.name, program.address, program.user_agent)
        place = self._places.setdefault(key, _Place())
        self._places.move_to_end(key)
        _forget_oldest(self._places)
        return place


def _forget_oldest(remembered: OrderedDict[Any, Any]) -> None:
    if len(remembered) > MOST_REMEMBERED:
        remembered.popitem(last=False)
