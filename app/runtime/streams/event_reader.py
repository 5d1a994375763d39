"""One reader's way through a session's events: from its cursor, out of the store first, then live."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from threading import Event
from typing import Final

from app.conversation.condensed_facts import facts_after
from app.conversation.events import Gap
from app.errors import StoreUnavailable
from app.event_encoder import EventEncoder
from app.runtime.streams.event_log import EndMark, EventLog, EventLogs
from app.runtime.streams.frame_encoder import AS_WRITTEN, FrameEncoder
from app.runtime.streams.own_streams import Follower, OwnStream
from app.runtime.streams.recent_events import Slice
from app.runtime.streams.turn_joined import TurnJoined
from app.sse_format import split, unnumbered
from app.store.event_segments import Segment
from app.store.event_store import EventStore

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.5
"""How often a reader asks whether another process's run has ended, and whether the database is back."""

READER_PATIENCE: Final = 60.0
"""How long a reader waits for the database, in seconds, before it ends its stream."""


class Behind(Exception):
    """The next events have to be read from the store."""


@dataclass(frozen=True, slots=True)
class RunEnd:
    """The end of a run as its row knows it: the number of its last event, and facts that say the end to a reader
    that finds no event that does. `told` is false if there never was such an event."""

    number: int
    words: Sequence[bytes] = ()
    told: bool = True


FindEnd = Callable[[], RunEnd | None]
"""Looks in the store for the end of a run; None while the run goes on. May raise StoreUnavailable."""


def _no_end() -> RunEnd | None:
    return None


class EventReader:
    """Used by one request thread. `end`, if given, is where the reader's run ends; else it reads on. Its
    `encoder` writes the frames that it reads.

    A reader of one run is given the events of that run only, and nothing after its end. A database that is away
    is waited for, up to `patience` seconds; then the reader gives up, and nothing else ends with it.
    """

    def __init__(
        self,
        event_log: EventLog,
        logs: EventLogs,
        store: EventStore,
        *,
        after: int,
        end: EndMark | None = None,
        find_end: FindEnd = _no_end,
        encoder: FrameEncoder = AS_WRITTEN,
        begins_with_gap: bool = False,
        patience: float = READER_PATIENCE,
        follower: Follower | None = None,
    ) -> None:
        self._log = event_log
        self._logs = logs
        self._store = store
        self._after = after
        self._end = end
        self._find_end = find_end
        self._encoder = encoder
        self._begins_with_gap = begins_with_gap
        self._patience = patience
        self._follower = follower
        self.own: OwnStream | None = None  # to be told how far the client has been told
        self._found: RunEnd | None = None  # the end, if this reader had to look for it
        self._missed_end = False  # its cursor has gone past the end, and no event said so
        self._failing_since: float | None = None  # monotonic
        self._joined = TurnJoined()
        self._closed = False
        self._gave_up = False
        self._interrupted = Event()

    def next(self, timeout: float) -> bytes | None:
        """Frames that have not been read yet, as one piece; b"" if none came for `timeout` seconds, None at the
        end. While the database is away, that is silence; None if it lasts longer than the patience."""
        self._confirm()
        deadline = time.monotonic() + timeout
        while not self.at_end:
            remaining = max(0.0, deadline - time.monotonic())
            try:
                frames = self._look(remaining)
                self._failing_since = None
            except StoreUnavailable:
                frames = b""
                self._bear(remaining)
            if frames:
                return frames
            if time.monotonic() >= deadline and not self.at_end:
                return b""
        return None

    def take(self) -> bytes | None:
        """The new events in the log, without waiting and without the store: b"" if there are none, None at the end.
        Raises Behind if the store has to be asked for what comes next."""
        self._confirm()
        if self.at_end:
            return None
        if self._joined.under_way:
            raise Behind
        piece = self._log.read(self._after, 0, self._end, encoder=self._encoder)
        if piece is not None and piece.first == self._after + 1 and not piece.over:
            self._after = piece.last
            return piece.frames or self.take()
        if piece is not None or self._known_end is not None or self.follows_another_process:
            raise Behind
        return None if self.at_end else b""

    def listen(self, listener: Callable[[], None]) -> None:
        """From now on the listener is called whenever `take` may have something, or the end has come."""
        self._log.listen(listener)

    def ignore(self, listener: Callable[[], None]) -> None:
        """It is called no more."""
        self._log.ignore(listener)

    def interrupt(self) -> None:
        """Makes `next` return None from now on, and wakes the thread that waits in it; from any thread."""
        self._interrupted.set()
        self._log.wake()
        if self._follower is not None:
            self._follower.moved.set()

    def wake(self) -> None:
        """Has the listeners look though nothing is new; from any thread."""
        self._log.wake()

    def give_up(self) -> None:
        """Ends the reader before its time, because of trouble that is neither its client's nor its run's."""
        self._gave_up = True

    def close(self) -> None:
        """Gives the log back; may be called more than once."""
        if not self._closed:
            self._closed = True
            self._logs.release(self._log)
            if self._follower is not None:
                self._follower.leave(self._after)
            if self.own is not None:
                self.own.close()

    def _confirm(self) -> None:
        """Who asks for more has sent what it got before."""
        if self.own is not None:
            self.own.advance(self._after)

    @property
    def at_end(self) -> bool:
        if self._closed or self._gave_up or self._interrupted.is_set():
            return True
        if self._log.closed and self._after >= self._log.last_number:
            return True
        return self._is_past_end and not self._missed_end

    @property
    def interrupted(self) -> bool:
        return self._interrupted.is_set()

    @property
    def gave_up(self) -> bool:
        return self._gave_up

    @property
    def follows_another_process(self) -> bool:
        """Its end is not announced but looked for, so it can't be left to wait for an announcement."""
        return self._end is not None and self._end.elsewhere

    @property
    def can_be_carried(self) -> bool:
        """Is `take` all that it needs, as things stand? Not while its events come from another process, or the
        database is away."""
        return (
            self._failing_since is None
            and not self.follows_another_process
            and not self._joined.under_way
            and self._follower is None
        )

    # ---- one look

    def _look(self, timeout: float) -> bytes:
        """The events from the log, or else from the store; b"" if there is nothing new."""
        if self._begins_with_gap:
            self._begins_with_gap = False
            return self._gap(self._after + 1)
        if self._is_past_end:
            return self._last_words()
        if self._follower and self._follower.waits_for(self._after + 1, timeout, self._interrupted.is_set):
            return b""
        wait = min(timeout, LOOK_SECONDS) if self.follows_another_process else timeout
        piece = self._log.read(
            self._after,
            wait,
            self._end,
            gave_up=self._interrupted.is_set,
            encoder=AS_WRITTEN if self._reads_facts else self._encoder,
        )
        if piece is None:
            return self._silence()
        if piece.first > self._after + 1:
            return self._catch_up(piece)
        if piece.over:
            return self._miss_end()
        if self._reads_facts:
            return self._pass_on(split(piece.frames), piece.last)
        self._after = piece.last
        return piece.frames

    @property
    def _reads_facts(self) -> bool:
        return self._joined.under_way or self._follower is not None

    def _pass_on(self, facts: Sequence[bytes], last: int) -> bytes:
        """The frames of these facts, the last of which has that number."""
        if self._follower is not None:
            facts, open_from = self._follower.sift(facts)
            last = last if open_from is None else open_from - 1
        self._after = last
        return self._encoded(facts)

    def _silence(self) -> bytes:
        """The log is silent. If the end is known, what lacks was written by another process, and is stored."""
        if self.at_end:
            return b""
        if self._known_end is None and self.follows_another_process:
            self._learn_end()
        elif self._known_end is not None:
            return self._catch_up(Slice(self._known_end + 1, self._known_end, b"", over=True))
        return b""

    def _catch_up(self, ahead: Slice) -> bytes:
        """The events before that slice that the log has dropped or never had, from the store; or a `gap` that says
        what is missing."""
        segments = self._store.read(self._log.session_id, self._after)
        before = [segment for segment in segments if segment.first < ahead.first]
        mine = list(takewhile(self._is_mine, before))
        if not mine:
            return self._miss_end() if ahead.over or before else self._gap(ahead.first)
        if mine[0].first > self._after + 1:
            return self._gap(mine[0].first)
        row = _in_a_row(mine)
        facts = [fact for segment in row for fact in facts_after(self._after, segment.facts)]
        return self._pass_on(facts, row[-1].last)

    def _encoded(self, facts: Iterable[bytes]) -> bytes:
        """The frames of these facts."""
        if self._joined.under_way:
            facts = [self._joined.told(fact) for fact in facts]
        return b"".join(map(self._encoder.encode, facts))

    def _is_mine(self, segment: Segment) -> bool:
        return self._end is None or segment.run_id == self._end.run_id

    def _gap(self, first: int) -> bytes:
        """Moves the cursor to before that number, and says that what lies between is missing."""
        self._after = first - 1
        self._missed_end = self._is_past_end
        self._joined.begin()
        session_id = self._log.session_id
        event = Gap(session_id=session_id, first_available=first, snapshot=f"/api/sessions/{session_id}")
        return self._encoded(map(unnumbered, EventEncoder().encode(event)))

    # ---- the end of the reader's run

    @property
    def _known_end(self) -> int | None:
        if self._end is not None and self._end.number is not None:
            return self._end.number
        return None if self._found is None else self._found.number

    @property
    def _is_past_end(self) -> bool:
        return self._known_end is not None and self._after >= self._known_end

    def _learn_end(self) -> None:
        """Looks in the store whether the run has ended."""
        if (found := self._find_end()) is not None:
            self._found = found
            self._missed_end = self._after > found.number or (self._is_past_end and not found.told)

    def _miss_end(self) -> bytes:
        """The run's events are over, for the next one belongs to another run. Events of the run that were not found
        are missing."""
        if self._known_end is None:
            self._learn_end()
        if self._known_end is None:
            self._found = RunEnd(self._after)
        last = self._known_end or 0
        return self._gap(last + 1) if last > self._after else b""

    def _last_words(self) -> bytes:
        found = self._find_end()
        self._missed_end = False
        return self._encoded(found.words) if found is not None else b""

    def _bear(self, longest: float) -> None:
        """The database is away: waits a moment, or gives up after too many."""
        now = time.monotonic()
        if self._failing_since is None:
            self._failing_since = now
            log.warning("a reader of session %s waits for the database", self._log.session_id, exc_info=True)
        if now - self._failing_since >= self._patience:
            log.warning("a reader of session %s has given up", self._log.session_id)
            self.give_up()
        else:
            self._interrupted.wait(min(longest, LOOK_SECONDS))


def _in_a_row(segments: list[Segment]) -> list[Segment]:
    """The segments up to the first missing number."""
    row = segments[:1]
    for segment in segments[1:]:
        if segment.first != row[-1].last + 1:
            break
        row.append(segment)
    return row
