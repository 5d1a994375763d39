"""Writes what is pending for all open streams of the process, on one thread.

A hand-over between two threads costs more than everything else that happens to an event. A stream's request thread
therefore hands its socket over once, when its reader has caught up, and sleeps until the stream ends; this thread
goes round every few milliseconds and sends each stream everything that is new as one chunk. The thread that reads
the models' answers, and so publishes most of all events, makes such a round itself. A client that does not read
costs nothing but the events that wait for it in its session's log; when the log has dropped some of them, the stream
goes back to its request thread, which reads them from the store.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from app.errors import ServerFull
from app.io_loop import WRITABLE, IoLoop
from app.runtime.streams.event_reader import Behind

log = logging.getLogger(__name__)

ROUND_SECONDS: Final = 0.003
"""The least time between two rounds; the first event after a quiet moment is written at once."""

BEAT_SECONDS: Final = 1.0
"""Between two looks for streams that have been silent for long."""


class Carriable(Protocol):
    """A reader whose frames can be written without a thread of its own (`EventReader`)."""

    @property
    def interrupted(self) -> bool: ...

    def take(self) -> bytes | None: ...

    def listen(self, listener: Callable[[], None], /) -> None: ...

    def ignore(self, listener: Callable[[], None], /) -> None: ...

    def give_up(self) -> None: ...


class CarriedStream:
    """A chunked response's socket, while the writer owns it."""

    __slots__ = (
        "_done",
        "_mark",
        "descriptor",
        "failed",
        "is_done",
        "last_sent",
        "marked",
        "pending",
        "reader",
        "socket",
    )

    def __init__(self, connection: socket.socket, reader: Carriable, done: Callable[[], None]) -> None:
        self.socket = connection
        self.descriptor = connection.fileno()
        self.reader = reader
        self.pending = b""  # of a chunk that the socket did not take whole
        self.marked = False
        self.failed = False  # the client is gone
        self.is_done = False
        self.last_sent = time.monotonic()
        self._done = done
        self._mark: Callable[[], None] | None = None

    def listen(self, mark: Callable[[], None]) -> None:
        self._mark = mark
        self.reader.listen(mark)
        mark()  # events that came since the reader looked last

    def finish(self) -> None:
        """The writer writes nothing more. It says so once, whatever it had to do with the stream later."""
        if not self.is_done:
            self.is_done = True
            self._done()

    def give_back(self) -> bool:
        """Called when it is done: whole chunks have been written when this returns. False if the client has gone.
        Waits for a client that is slow; OSError if it leaves then."""
        if self._mark is not None:
            self.reader.ignore(self._mark)
            self._mark = None
        if self.pending and not self.failed:
            self.socket.sendall(self.pending)
        return not self.failed


class StreamWriter:
    """Started with the first stream it carries, so never before a fork."""

    def __init__(self, *, heartbeat: bytes, heartbeat_seconds: float) -> None:
        self._heartbeat = chunk(heartbeat)
        self._heartbeat_seconds = heartbeat_seconds
        self._guard = threading.Lock()
        self._loop: IoLoop[CarriedStream] = IoLoop(self._work, name="stream-writer", pause=ROUND_SECONDS)
        self._streams: set[CarriedStream] = set()
        self._marked: list[CarriedStream] = []
        self._turn = threading.Lock()  # held through a round, by whichever thread makes it
        self._batching = False
        self._next_beat = 0.0

    def carry(self, connection: socket.socket, reader: Carriable) -> bool:
        """Writes the reader's events to the socket until its end, or until they have to be read from the
        store; blocks meanwhile. False if the client has gone. ServerFull, before anything was written, if the
        system has no thread or descriptor for the writer.

        The socket must be plain TCP or Unix, in the middle of a chunked response, and nobody else's until
        this returns; whole chunks have been written then.
        """
        done = threading.Event()
        stream = self.take_over(connection, reader, done.set)
        done.wait()
        return stream.give_back()

    def take_over(
        self, connection: socket.socket, reader: Carriable, done: Callable[[], None]
    ) -> CarriedStream:
        """The same without waiting. `done` is called once, perhaps before this returns, on a thread that it must not
        block; the socket and the reader are the caller's again when it has asked the stream to `give_back`."""
        try:
            self._loop.ensure_running()
        except OSError as error:
            raise ServerFull() from error
        stream = CarriedStream(connection, reader, done)
        with self._guard:
            self._streams.add(stream)
        stream.listen(self._marker(stream))
        return stream

    @contextmanager
    def batch(self) -> Iterator[None]:
        """For the one thread that publishes for many streams at once: the events that it publishes inside are
        written at the end, by itself. Nobody has to be woken for it."""
        self._batching = True
        try:
            yield
        finally:
            self._batching = False
            if self._marked and self._turn.acquire(blocking=False):
                try:
                    self._round()
                finally:
                    self._turn.release()
            if self._marked:
                self._loop.wake()  # somebody else's turn, or somebody was quicker

    def _marker(self, stream: CarriedStream) -> Callable[[], None]:
        marked, loop = self._marked, self._loop

        def mark() -> None:
            if not stream.marked:
                stream.marked = True
                marked.append(stream)
                if not self._batching:
                    loop.wake()

        return mark

    # ---- the writer's thread

    def _work(self, writable: list[CarriedStream]) -> float | None:
        with self._turn:
            for stream in writable:
                self._unblock(stream)
            self._round()
            if time.monotonic() >= self._next_beat:
                self._beat()
                self._next_beat = time.monotonic() + BEAT_SECONDS
        return BEAT_SECONDS if self._streams else None

    def _round(self) -> None:
        todo = len(self._marked)
        for stream in self._marked[:todo]:
            stream.marked = False  # before reading: what comes after is marked anew
            self._write(stream)
        del self._marked[:todo]

    def _write(self, stream: CarriedStream) -> None:
        if stream.pending or stream.is_done:
            return
        try:
            while (frames := stream.reader.take()) is not None:
                if not frames:
                    return
                if not self._send(stream, chunk(frames)):
                    return
            self._finish(stream)
        except Behind:
            self._finish(stream)
        except OSError:
            stream.failed = True
            self._finish(stream)
        except Exception:
            log.exception("a stream can't be written any more")  # the others can
            stream.reader.give_up()
            stream.failed = True
            self._finish(stream)

    def _send(self, stream: CarriedStream, data: bytes) -> bool:
        """False if the socket did not take all of it; the rest follows when it can."""
        try:
            sent = stream.socket.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        stream.last_sent = time.monotonic()
        if sent == len(data):
            return True
        stream.pending = data[sent:]
        self._loop.register(stream.descriptor, WRITABLE, stream)
        return False

    def _unblock(self, stream: CarriedStream) -> None:
        if not self._loop.unregister(stream.descriptor, stream):
            return  # it was dropped a moment ago
        pending, stream.pending = stream.pending, b""
        try:
            if self._send(stream, pending):
                self._write(stream)
        except OSError:
            stream.failed = True
            self._finish(stream)

    def _finish(self, stream: CarriedStream) -> None:
        with self._guard:
            self._streams.discard(stream)
        stream.finish()

    def _beat(self) -> None:
        """Heartbeats for silent streams, and an end for those whose client left while they were blocked."""
        due = time.monotonic() - self._heartbeat_seconds
        with self._guard:
            streams = list(self._streams)
        for stream in streams:
            if stream.pending:
                if stream.reader.interrupted:
                    self._drop(stream)
            elif stream.last_sent < due:
                try:
                    self._send(stream, self._heartbeat)
                except OSError:
                    stream.failed = True
                    self._finish(stream)

    def _drop(self, stream: CarriedStream) -> None:
        self._loop.unregister(stream.descriptor, stream)
        stream.failed = True
        self._finish(stream)


def chunk(data: bytes) -> bytes:
    """As a chunked response has it."""
    return b"%X\r\n%b\r\n" % (len(data), data)
