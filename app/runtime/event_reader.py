"""One reader's way through a session's events: from its cursor, out of the store first, then live."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

from app.conversation.events import Gap
from app.runtime.event_encoder import EventEncoder
from app.runtime.event_log import EndMark, EventLog, Slice, unnumbered
from app.runtime.event_logs import EventLogs
from app.store.event_store import EventStore, Segment

LOOK_SECONDS: Final = 0.5
"""How often a reader asks whether another process's run has ended."""


class Behind(Exception):
    """What comes next has to be read from the store."""


class EventReader:
    """Used by one request thread. `end`, if given, is where the reader's run ends; else it reads on.

    `find_end` looks for the end of a run that another process works on: the number of its last event, or
    None while it goes on.
    """

    def __init__(
        self,
        log: EventLog,
        logs: EventLogs,
        store: EventStore,
        *,
        after: int,
        end: EndMark | None = None,
        find_end: Callable[[], int | None] | None = None,
        begins_with_gap: bool = False,
    ) -> None:
        self._log = log
        self._logs = logs
        self._store = store
        self._after = after
        self._end = end
        self._find_end = find_end
        self._begins_with_gap = begins_with_gap
        self._closed = False
        self._interrupted = False

    def next(self, timeout: float) -> bytes | None:
        """Frames that have not been read yet, as one piece; b"" if none came for `timeout` seconds, None at
        the end. After the end of what was written for this reader nothing follows."""
        if self._at_end():
            return None
        if self._begins_with_gap:
            self._begins_with_gap = False
            return self._gap(self._after + 1)
        piece = self._read(timeout)
        if piece is None:
            return self._nothing_here()
        if piece.first > self._after + 1:
            return self._catch_up(piece.first)
        self._after = piece.last
        return piece.frames

    def take(self) -> bytes | None:
        """What is new in the log, without waiting and without the store: b"" if nothing is, None at the end.
        Raises Behind if the log no longer has what comes next."""
        if self._at_end():
            return None
        piece = self._log.read(self._after, 0, self._end)
        if piece is None and self._at_end():
            return None
        if piece is None and not self._end_is_known:
            return b""
        if piece is None or piece.first > self._after + 1:
            raise Behind
        self._after = piece.last
        return piece.frames

    def listening(self, listener: Callable[[], None]) -> AbstractContextManager[None]:
        """While inside, the listener is called whenever `take` may have something, or the end has come."""
        return self._log.listening(listener)

    @property
    def follows_another_process(self) -> bool:
        """Its end is not announced but looked for, so it can't be left to wait for an announcement."""
        return self._find_end is not None

    @property
    def interrupted(self) -> bool:
        return self._interrupted

    def _read(self, timeout: float) -> Slice | None:
        if self._find_end is None or self._end is None:
            return self._log.read(self._after, timeout, self._end, gave_up=self._gave_up)
        deadline = time.monotonic() + timeout
        while True:
            piece = self._log.read(self._after, LOOK_SECONDS, self._end, gave_up=self._gave_up)
            if piece is not None or self._at_end():
                return piece
            self._end.number = self._find_end()
            if time.monotonic() > deadline:
                return None

    @property
    def at_end(self) -> bool:
        return self._at_end()

    def interrupt(self) -> None:
        """Makes `next` return None from now on, and wakes who waits in it; from any thread."""
        self._interrupted = True
        self._log.wake()

    def _gave_up(self) -> bool:
        return self._interrupted

    def _nothing_here(self) -> bytes | None:
        """The log is silent. If the end is known, what lacks was written by another process, and is stored."""
        if self._at_end():
            return None
        if self._end is not None and self._end.number is not None:
            return self._catch_up(self._end.number + 1)
        return b""

    @property
    def _end_is_known(self) -> bool:
        return self._end is not None and self._end.number is not None

    def close(self) -> None:
        """Gives the log back; may be called more than once."""
        if not self._closed:
            self._closed = True
            self._logs.release(self._log)

    def _at_end(self) -> bool:
        if self._closed or self._interrupted or (self._log.closed and self._after >= self._log.last_number):
            return True
        return self._end is not None and self._end.number is not None and self._after >= self._end.number

    def _catch_up(self, available: int) -> bytes:
        """What the log has dropped or never had, from the store; or a `gap` that says what is missing."""
        segments = [s for s in self._store.read(self._log.session_id, self._after) if s.first < available]
        first = max(segments[0].first, self._after + 1) if segments else available
        if first > self._after + 1:
            self._after = first - 1
            return self._gap(first)
        row = _in_a_row(segments)
        last = row[-1].last
        if self._end is not None and self._end.number is not None:
            last = min(last, self._end.number)
        frames = b"".join(_frames_between(segment, self._after, last) for segment in row)
        self._after = last
        return frames

    def _gap(self, first: int) -> bytes:
        session_id = self._log.session_id
        event = Gap(session_id=session_id, first_available=first, snapshot=f"/api/sessions/{session_id}")
        return b"".join(unnumbered(payload) for payload in EventEncoder().encode(event))


def _in_a_row(segments: list[Segment]) -> list[Segment]:
    """The segments up to the first missing number."""
    row = segments[:1]
    for segment in segments[1:]:
        if segment.first != row[-1].last + 1:
            break
        row.append(segment)
    return row


def _frames_between(segment: Segment, after: int, last: int) -> bytes:
    """The segment's frames with numbers greater than `after`, up to `last`."""
    if after < segment.first and segment.last <= last:
        return segment.frames
    frames = segment.frames.split(b"\n\n")[:-1]
    wanted = frames[max(0, after + 1 - segment.first) : max(0, last + 1 - segment.first)]
    return b"".join(frame + b"\n\n" for frame in wanted)
