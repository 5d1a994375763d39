"""The newest facts of a session, numbered, with the run that each belongs to, and as each kind of client reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from app.runtime.streams.frame_encoder import AS_WRITTEN, FrameEncoder

KEEP_EVENTS: Final = 512
KEEP_BYTES: Final = 1 << 20
"""`KEEP_EVENTS` or so many bytes of stored events, whichever is less, stay in memory for readers."""

MAX_SLICE: Final = 512
MAX_SLICE_BYTES: Final = 256 << 10
"""`MAX_SLICE` events or so many bytes, whichever is less, are handed out at once; a single event may be larger."""

EVERY_RUN: Final = None
"""The run of a session's last words: readers of every run are shown them."""


@dataclass(frozen=True, slots=True)
class Slice:
    """The frames of the facts `first` to `last`, ready to be sent; `first` is greater than asked for if some are not
    here. If they are `over`, there are none: the fact with the number `first` is not the run's that was asked for."""

    first: int
    last: int
    frames: bytes
    over: bool = False


class RecentEvents:
    """Facts without a hole between their numbers. Not safe for threads: its event log locks.

    A fact is encoded when the first reader with that encoder comes to it, and kept for the others."""

    def __init__(self, next_number: int) -> None:
        self.first = next_number
        self._facts: list[bytes] = []
        self._encoded: dict[
            FrameEncoder, list[bytes]
        ] = {}  # of the facts from the first one on, as far as read
        self._bytes = 0
        self._runs: list[tuple[int, str | None]] = []  # whose the events are, from which number on

    @property
    def next_number(self) -> int:
        return self.first + len(self._facts)

    @property
    def size(self) -> int:
        """The bytes of the facts."""
        return self._bytes

    def extend(self, facts: Sequence[bytes], run_id: str | None) -> None:
        if not facts:
            return
        if not self._runs or self._runs[-1][1] != run_id:
            self._runs.append((self.next_number, run_id))
        self._facts.extend(facts)
        self._bytes += _size(facts)

    def replace(self, number: int, facts: Sequence[bytes]) -> None:
        """Puts these in the place of as many frames from that number on, unless some of them are gone."""
        first = number - self.first
        if 0 <= first <= len(self._facts) - len(facts):
            self._bytes += _size(facts) - _size(self._facts[first : first + len(facts)])
            self._facts[first : first + len(facts)] = facts
            self._forget_encoded(first)

    def drop_from(self, number: int) -> None:
        """Takes back everything from that number on."""
        first = number - self.first
        self._bytes -= _size(self._facts[first:])
        del self._facts[first:]
        self._forget_encoded(first)

    def drop_before(self, number: int) -> None:
        """Drops old facts before that number, as long as more are here than should be kept."""
        surplus, size, gone = len(self._facts) - KEEP_EVENTS, self._bytes, 0
        if surplus <= 0 and size <= KEEP_BYTES:
            return
        for old in self._facts[: number - self.first]:
            if gone >= surplus and size <= KEEP_BYTES:
                break
            gone += 1
            size -= len(old)
        if gone:
            for facts in (self._facts, *self._encoded.values()):
                del facts[:gone]
            self.first += gone
            self._bytes = size
            while len(self._runs) > 1 and self._runs[1][0] <= self.first:
                del self._runs[0]

    def restart_at(self, number: int) -> None:
        """Leaves a hole before that number: drops everything and goes on there."""
        self._facts.clear()
        self._encoded.clear()
        self._runs.clear()
        self._bytes = 0
        self.first = number

    def since(self, number: int) -> list[bytes]:
        return self._facts[number - self.first :]

    def slice(
        self,
        first: int,
        stop: int,
        run_id: str | None = EVERY_RUN,
        last: int | None = None,
        encoder: FrameEncoder = AS_WRITTEN,
    ) -> Slice:
        """Events from the number `first`, or the first one that is here, up to and without `stop`: at most as many
        as may be handed out at once, of all runs or of the one with that id, whose `last` one may be known."""
        first = max(first, self.first)
        end = stop if run_id is EVERY_RUN else self._end_within(first, stop, run_id)
        end = end if last is None else min(end, last + 1)
        until = max(0, min(end, first + MAX_SLICE) - self.first)
        frames = self._frames(encoder, until)[first - self.first : until]
        _cut_to(frames, MAX_SLICE_BYTES)
        return Slice(first, first + len(frames) - 1, b"".join(frames), over=first < stop and end <= first)

    def _frames(self, encoder: FrameEncoder, until: int) -> list[bytes]:
        """One for each fact, up to that index at least."""
        if encoder is AS_WRITTEN:
            return self._facts
        frames = self._encoded.setdefault(encoder, [])
        frames.extend(map(encoder.encode, self._facts[len(frames) : until]))
        return frames

    def _forget_encoded(self, first: int) -> None:
        for frames in self._encoded.values():
            del frames[first:]

    def _end_within(self, first: int, stop: int, run_id: str) -> int:
        """The number up to which, from `first` on, all events are that run's."""
        for start, other in reversed(self._runs):
            if other not in (run_id, EVERY_RUN):
                stop = min(stop, max(start, first))
            if start <= first:
                break
        return stop


def _cut_to(frames: list[bytes], most: int) -> None:
    """Leaves so many bytes at most, but one frame at least."""
    for index, size in enumerate(accumulate(map(len, frames))):
        if size > most and index:
            del frames[index:]
            return


def _size(facts: Sequence[bytes]) -> int:
    return sum(map(len, facts))
