"""A session's events as its readers see them: numbered, encoded once, and waited for.

The writer appends and goes on; it never waits for a reader. A reader asks for everything after the number it
has seen and gets it as one piece of bytes. So a slow reader costs nothing but the memory of what it has not
read yet, and that is bounded: what is written to the store may be dropped here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from app.store.event_store import Segment, frame

KEEP_EVENTS: Final = 512
MAX_SLICE: Final = 512  # events handed out at once


@dataclass(frozen=True, slots=True)
class Slice:
    """Frames `first` to `last`, ready to be sent; `first` is greater than asked for if some are not here."""

    first: int
    last: int
    frames: bytes


class EndMark:
    """Where a run's events end, once they have. `sealed` means that nothing of this run may follow."""

    __slots__ = ("number", "sealed")

    def __init__(self) -> None:
        self.number: int | None = None
        self.sealed = False


class EventLog:
    """Written by the run's thread (and its title's), read by any number of request threads."""

    def __init__(self, session_id: str, next_number: int) -> None:
        self.session_id = session_id
        self._lock = threading.Lock()  # a condition's own would be entered through two more calls
        self._changed = threading.Condition(self._lock)
        self._waiting = 0
        self._first = next_number  # the number of _frames[0]
        self._frames: list[bytes] = []
        self._written = next_number  # everything below is in the store
        self._sealed: dict[EndMark, int] = {}  # from which number on each ending run keeps the log hidden
        self._closed = False
        self._listeners: tuple[Callable[[], None], ...] = ()
        self.writing = threading.Lock()  # held by whoever brings frames to the store

    @property
    def next_number(self) -> int:
        return self._first + len(self._frames)

    @property
    def last_number(self) -> int:
        """Of the events that can be seen."""
        with self._lock:
            return self._last_visible()

    def publish(self, payloads: Sequence[bytes], end: EndMark) -> None:
        """Appends events of the run with that end; what comes after its last event is dropped."""
        with self._lock:
            if end.sealed:
                return
            self._append(payloads)
            if not self._sealed:  # else it waits until the run before it has shown its end
                self._wake()

    def read(
        self,
        after: int,
        timeout: float,
        end: EndMark | None = None,
        *,
        gave_up: Callable[[], bool] = lambda: False,
    ) -> Slice | None:
        """What comes after that number; waits for it, and returns None after `timeout` seconds of nothing,
        when the log is closed, or at once when `end` was passed. A reader that gives up calls `wake` then."""
        with self._lock:
            if after >= self._last_visible():
                if self._closed or gave_up() or (end is not None and end.number is not None):
                    return None
                self._waiting += 1
                try:
                    self._changed.wait(timeout)
                finally:
                    self._waiting -= 1
                if after >= self._last_visible():
                    return None
            first = max(after + 1, self._first)
            stop = min(first + MAX_SLICE, self._last_visible() + 1)
            if end is not None and end.number is not None:
                stop = max(first, min(stop, end.number + 1))
            frames = self._frames[first - self._first : stop - self._first]
            return Slice(first, first + len(frames) - 1, b"".join(frames))

    # ---- a run that goes on in another process

    def silence(self, end: EndMark) -> int:
        """Nothing of the run with that end is published from now on, not even its title: another process may give
        the next number. Returns that number."""
        with self._lock:
            end.sealed = True
            return self.next_number

    def unsilence(self, end: EndMark) -> None:
        """The run stays in this process."""
        with self._lock:
            end.sealed = False

    # ---- the end of a run: numbered and stored before it is seen

    def seal(self, payloads: Sequence[bytes], end: EndMark) -> None:
        """The run's last events, numbered but not visible yet. Nothing of this run can follow."""
        with self._lock:
            end.sealed = True
            self._sealed[end] = self.next_number
            self._append(payloads)

    def unnumber(self, payloads: Sequence[bytes]) -> None:
        """The sealed events could not be stored: they are shown, but don't move anybody's cursor."""
        with self._lock:
            self._frames[-len(payloads) :] = [unnumbered(payload) for payload in payloads]

    def show_end(self, end: EndMark, number: int) -> None:
        """Shows what the run has sealed; its last event is the one with that number."""
        with self._lock:
            end.number = number
            self._sealed.pop(end, None)
            self._wake()

    def unwritten(self, run_id: str) -> Segment | None:
        """What the store does not have yet, sealed events included."""
        with self._lock:
            frames = self._frames[self._written - self._first :]
            if not frames:
                return None
            last = self._written + len(frames) - 1
            return Segment(self.session_id, run_id, self._written, last, b"".join(frames))

    def mark_written(self, last: int) -> None:
        """Everything up to this number is in the store; old frames may go."""
        with self._lock:
            self._written = max(self._written, last + 1)
            surplus = min(len(self._frames) - KEEP_EVENTS, self._written - self._first)
            if surplus > 0:
                del self._frames[:surplus]
                self._first += surplus

    def continue_at(self, number: int) -> None:
        """Another process has sent events meanwhile; they are in the store, and ours go on after them."""
        with self._lock:
            if number > self.next_number:
                self._frames.clear()
                self._first = self._written = number

    def receive(self, segment: Segment) -> None:
        """Events that another process has sent and stored."""
        with self._lock:
            if segment.last < self.next_number:
                return
            if segment.first > self.next_number:
                self._frames.clear()
                self._first = segment.first
            known = self.next_number - segment.first
            frames = [piece + b"\n\n" for piece in segment.frames.split(b"\n\n")[known:-1]]
            self._frames.extend(frames)
            self._written = self.next_number
            self._wake()

    @contextmanager
    def listening(self, listener: Callable[[], None]) -> Iterator[None]:
        """Calls the listener whenever something is new, on the thread that brought it; it must not block."""
        with self._lock:
            self._listeners = (*self._listeners, listener)
        try:
            yield
        finally:
            with self._lock:
                self._listeners = tuple(one for one in self._listeners if one is not listener)

    def close(self, last_words: Sequence[bytes] = ()) -> None:
        """The session is gone: readers end after these last events, which move nobody's cursor."""
        with self._lock:
            self._frames.extend(unnumbered(payload) for payload in last_words)
            self._closed = True
            self._wake()

    def wake(self) -> None:
        """Lets every reader look at once, though nothing is new."""
        with self._lock:
            self._wake()

    @property
    def closed(self) -> bool:
        return self._closed

    def _last_visible(self) -> int:
        return min(self._sealed.values(), default=self.next_number) - 1

    def _append(self, payloads: Sequence[bytes]) -> None:
        for payload in payloads:
            self._frames.append(frame(self.next_number, payload))

    def _wake(self) -> None:
        if self._waiting:
            self._changed.notify_all()
        for listener in self._listeners:
            listener()


def unnumbered(payload: bytes) -> bytes:
    """A frame that must not move the reader's cursor."""
    return b"data: %b\n\n" % payload
