"""A session's events as facts: numbered, kept for its readers, and waited for.

The writer appends and goes on; it never waits for a reader. A reader asks for everything after the number it has seen
and gets it as one piece of bytes, in the form of its door. A slow reader therefore costs nothing but the memory of the
events that it has not read yet, and that is bounded: events that are in the store may be dropped here.

The log knows whose each event is. A reader of one run is never shown an event of another one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from app.conversation.condensed_facts import single_facts_after
from app.conversation.event_facts import as_stored
from app.conversation.events import SessionExited
from app.event_encoder import EventEncoder
from app.runtime.streams.frame_encoder import AS_WRITTEN, FrameEncoder
from app.runtime.streams.recent_events import EVERY_RUN, RecentEvents, Slice
from app.sse_format import numbered, unnumbered
from app.store.event_segments import Segment


class EndMark:
    """Where a run's events end: `number` is the last one's, once it is known. All of the run's readers share it.

    `sealed` means that nothing of this run may be published here any more. The end of a run that is `elsewhere`
    will not be shown here; its row says it.
    """

    __slots__ = ("elsewhere", "number", "run_id", "sealed")

    def __init__(self, run_id: str = "", *, elsewhere: bool = False) -> None:
        self.run_id = run_id
        self.number: int | None = None
        self.sealed = False
        self.elsewhere = elsewhere


class EventLog:
    """Written by the run's thread (and its title's), read by any number of request threads."""

    def __init__(self, session_id: str, next_number: int) -> None:
        self.session_id = session_id
        self._lock = threading.Lock()  # a condition's own would be entered through two more calls
        self._changed = threading.Condition(self._lock)
        self._waiting = 0
        self._events = RecentEvents(next_number)
        self._written = next_number  # everything below is in the store
        self._sealed: dict[EndMark, int] = {}  # from which number on each ending run keeps the log hidden
        self._closed = False
        self._last_words: Sequence[bytes] = ()
        self._listeners: tuple[Callable[[], None], ...] = ()
        self.writing = threading.Lock()  # held by the thread that brings facts to the store

    @property
    def next_number(self) -> int:
        return self._events.next_number

    @property
    def size(self) -> int:
        """Bytes of all events in memory."""
        return self._events.size

    @property
    def first_number(self) -> int:
        """The number of the oldest event in memory."""
        return self._events.first

    @property
    def last_number(self) -> int:
        """The number of the newest event that readers can see."""
        with self._lock:
            return self._last_visible()

    def publish(self, payloads: Sequence[bytes], end: EndMark) -> None:
        """Appends events of the run with that end; later events of that run are dropped."""
        with self._lock:
            if end.sealed:
                return
            self._events.extend(numbered(self.next_number, payloads), end.run_id)
            if not self._sealed:  # else it waits until the run before it has shown its end
                self._wake()

    def read(
        self,
        after: int,
        timeout: float,
        end: EndMark | None = None,
        *,
        gave_up: Callable[[], bool] = lambda: False,
        encoder: FrameEncoder = AS_WRITTEN,
    ) -> Slice | None:
        """The events after that number, of all runs or of the one with that `end`. Waits for it, and returns None
        after `timeout` seconds of nothing, when the log is closed, or at once when `end` was passed. It may return
        None earlier. A reader that gives up calls `wake` then."""
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
            stop = self._last_visible() + 1
            run_id, last = (EVERY_RUN, None) if end is None else (end.run_id, end.number)
            return self._events.slice(after + 1, stop, run_id, last, encoder)

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
            self._events.extend(numbered(self.next_number, payloads), end.run_id)

    def unnumber(self, last: int, payloads: Sequence[bytes]) -> None:
        """The sealed events up to that number could not be stored: they are shown, but move nobody's cursor."""
        with self._lock:
            self._events.replace(last + 1 - len(payloads), [*map(unnumbered, payloads)])

    def renumber(self, last: int, payloads: Sequence[bytes]) -> None:
        """They could be stored later: a reader that comes back sees them as they are stored."""
        with self._lock:
            first = last + 1 - len(payloads)
            self._events.replace(first, numbered(first, payloads))
            self._written = max(self._written, last + 1)

    def unseal(self, end: EndMark) -> None:
        """Takes back what the run has sealed: another process has closed it, and says its last words."""
        with self._lock:
            sealed = self._sealed.pop(end, None)
            if sealed is not None:
                self._events.drop_from(sealed)
                self._events.extend(self._last_words, EVERY_RUN)  # they came after it, if there are any

    def leave(self, end: EndMark) -> None:
        """This process has lost the run, and sealed it; its readers find the rest of it in the store."""
        with self._lock:
            end.elsewhere = True
            self._sealed.pop(end, None)
            self._wake()

    def show_end(self, end: EndMark, number: int) -> None:
        """Shows what the run has sealed; its last event is the one with that number."""
        with self._lock:
            end.number = number
            self._sealed.pop(end, None)
            self._wake()

    def unwritten(self, run_id: str) -> Segment | None:
        """The events that the store does not have yet, sealed events included, as it has them."""
        with self._lock:
            facts = self._events.since(self._written)
            if not facts:
                return None
            last = self._written + len(facts) - 1
            return Segment(self.session_id, run_id, self._written, last, b"".join(map(as_stored, facts)))

    def mark_written(self, last: int) -> None:
        """Everything up to this number is in the store; old facts may go."""
        with self._lock:
            self._written = max(self._written, last + 1)
            self._events.drop_before(self._written)

    def continue_at(self, number: int) -> None:
        """A run begins. Another process may have sent events meanwhile: they are in the store, and ours go on after
        them. Events that an earlier run could not write any more are not this run's to write."""
        with self._lock:
            if number > self.next_number:
                self._events.restart_at(number)
            self._written = self.next_number

    def receive(self, segment: Segment) -> None:
        """Events that another process has sent and stored."""
        with self._lock:
            if segment.last < self.next_number:
                return
            for number, fact in single_facts_after(self.next_number - 1, segment.facts):
                if number > self.next_number:
                    self._events.restart_at(number)
                self._events.extend([fact], segment.run_id)
            if segment.last >= self.next_number:
                self._events.restart_at(segment.last + 1)  # its last events were left out
            self._written = self.next_number
            self._events.drop_before(self._written)
            self._wake()

    def listen(self, listener: Callable[[], None]) -> None:
        """Calls the listener whenever something is new, on the thread that brought it; it must not block."""
        with self._lock:
            self._listeners = (*self._listeners, listener)

    def ignore(self, listener: Callable[[], None]) -> None:
        """The listener is not called any more, once this has returned."""
        with self._lock:
            self._listeners = tuple(one for one in self._listeners if one is not listener)

    def close(self, last_words: Sequence[bytes] = ()) -> None:
        """The session is gone: readers end after these last events, which move nobody's cursor."""
        with self._lock:
            self._last_words = [*map(unnumbered, last_words)]
            self._events.extend(self._last_words, EVERY_RUN)
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

    def _wake(self) -> None:
        if self._waiting:
            self._changed.notify_all()
        for listener in self._listeners:
            listener()


class EventLogs:
    """The event logs that somebody writes or reads at the moment. A log nobody uses is only in the store."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._logs: dict[str, EventLog] = {}
        self._users: dict[EventLog, int] = {}

    def open(self, session_id: str, next_number: int) -> EventLog:
        """The session's log, for a run or a reader; give it back with `release`."""
        with self._guard:
            log = self._logs.get(session_id)
            if log is None or log.closed:
                log = self._logs[session_id] = EventLog(session_id, next_number)
            self._users[log] = self._users.get(log, 0) + 1
            return log

    def hold(self, log: EventLog) -> None:
        """Keeps a run's own log for one more reader, which may come when the run has let go of it; `release` it."""
        with self._guard:
            self._users[log] = self._users.get(log, 0) + 1
            if not log.closed:
                self._logs.setdefault(log.session_id, log)

    def release(self, log: EventLog) -> None:
        """The last of its users to do so lets go of the log, even if its session has another one by now."""
        with self._guard:
            self._users[log] -= 1
            if self._users[log]:
                return
            del self._users[log]
            if self._logs.get(log.session_id) is log:
                del self._logs[log.session_id]

    def find(self, session_id: str) -> EventLog | None:
        with self._guard:
            return self._logs.get(session_id)

    def followed(self) -> list[EventLog]:
        with self._guard:
            return list(self._logs.values())

    def close(self, session_id: str, last_words: Sequence[bytes] = ()) -> None:
        """Ends the readers of a session that is gone, after these last events."""
        with self._guard:
            log = self._logs.pop(session_id, None)
        if log is not None:
            log.close(last_words)

    def close_deleted(self, session_id: str) -> None:
        """Ends the readers of a session that was deleted."""
        self.close(session_id, EventEncoder().encode(SessionExited(session_id=session_id)))

    def close_all(self) -> None:
        """Ends every reader: this process is going away."""
        for log in self.followed():
            self.close(log.session_id)
