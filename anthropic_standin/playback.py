"""Plays a stream to its client: at its pace, and with the mishaps that the script wants."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from anthropic_standin.answer_frames import Frames, error_frame, stamped
from anthropic_standin.directives import BreakDirective, TempoDirective
from anthropic_standin.http import LAST_CHUNK, chunk, stream_head

_BATCH = 32  # portions written at once when no pace is set


@dataclass(frozen=True, slots=True)
class Streamed:
    """A streamed answer, ready to be played."""

    frames: Frames
    tempo: TempoDirective
    broken: BreakDirective | None
    headers: Mapping[str, str]
    request_id: str


class Playback:
    """One stream on its way out. Belongs to its connection and is only touched on the loop's thread.

    Timers drive it, not a task: a thousand of them cost little more than their writes.
    """

    def __init__(self, streamed: Streamed, transport: asyncio.Transport, on_end: Callable[[], None]) -> None:
        self._streamed = streamed
        self._transport = transport
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.Handle | None = None
        self._next = 0
        self._paused = False
        self._breaks = streamed.broken
        pace = streamed.tempo.pace
        self._interval = 1 / pace if pace else 0.0
        self._due = self._loop.time()

    def start(self) -> None:
        head, opening = stream_head(self._streamed.headers), chunk(self._streamed.frames.opening)
        self._transport.write(head + opening)
        self._go_on()

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        self._schedule(0.0)

    @property
    def is_held(self) -> bool:
        return self._breaks is not None and self._breaks.kind == "hold" and self._next == self._stop_at()

    def release(self) -> None:
        """Let a held stream go on."""
        if self.is_held:
            self._breaks = None
            self._due = self._loop.time()
            self._schedule(0.0)

    def stop(self) -> None:
        """Play no more: the client has left or the server stops."""
        self._cancel()
        self._breaks = None
        self._paused = True

    def _go_on(self) -> None:
        self._timer = None
        if self._paused:
            return
        stop_at = self._stop_at()
        size = 1 if self._interval else _BATCH
        self._write(self._next, min(self._next + size, stop_at))
        self._next = min(self._next + size, stop_at)
        if self._next < stop_at:
            self._due += self._interval
            self._schedule(self._due - self._loop.time())
        elif self._breaks is not None:
            self._break(self._breaks)
        else:
            self._finish(self._streamed.frames.closing)

    def _write(self, start: int, end: int) -> None:
        portions = self._streamed.frames.deltas[start:end]
        if self._streamed.tempo.stamp:
            portions = tuple(stamped(portion, time.monotonic_ns()) for portion in portions)
        if portions:
            self._transport.write(b"".join(map(chunk, portions)))

    def _break(self, broken: BreakDirective) -> None:
        match broken.kind:
            case "drop":
                self._transport.close()
            case "error":
                self._finish(error_frame(broken.error, self._streamed.request_id))
            case _:
                pass  # silent until somebody releases it or the client leaves

    def _finish(self, closing: bytes) -> None:
        self._transport.write((chunk(closing) if closing else b"") + LAST_CHUNK)
        self._on_end()

    def _stop_at(self) -> int:
        whole = len(self._streamed.frames.deltas)
        return whole if self._breaks is None else min(whole, self._breaks.after)

    def _schedule(self, delay: float) -> None:
        self._cancel()
        if delay > 0:
            self._timer = self._loop.call_later(delay, self._go_on)
        else:
            self._timer = self._loop.call_soon(self._go_on)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
