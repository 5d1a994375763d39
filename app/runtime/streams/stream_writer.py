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
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from app.errors import ServerFull
from app.runtime.streams.event_reader import Behind, EventReader
from app.threads import ServiceThread

log = logging.getLogger(__name__)

ROUND_SECONDS: Final = 0.003
"""The least time between two rounds; the first event after a quiet moment is written at once."""


class CarriedStream:
    """A chunked response's socket, while the writer owns it. `failed` is set before `done`."""

    __slots__ = ("descriptor", "done", "failed", "last_sent", "marked", "pending", "reader", "socket")

    def __init__(self, connection: socket.socket, reader: EventReader) -> None:
        self.socket = connection
        self.descriptor = connection.fileno()
        self.reader = reader
        self.pending = b""  # of a chunk that the socket did not take whole
        self.marked = False
        self.failed = False  # the client is gone
        self.last_sent = time.monotonic()
        self.done = threading.Event()


class StreamWriter:
    """Started with the first stream it carries, so never before a fork."""

    def __init__(self, *, heartbeat: bytes, heartbeat_seconds: float) -> None:
        self._heartbeat = _chunk(heartbeat)
        self._heartbeat_seconds = heartbeat_seconds
        self._guard = threading.Lock()
        self._thread = ServiceThread(self._work, name="stream-writer")
        self._streams: set[CarriedStream] = set()
        self._marked: list[CarriedStream] = []
        self._wake = threading.Event()
        self._turn = threading.Lock()  # held through a round, by whichever thread makes it
        self._batching = False
        self._poll: select.epoll | None = None
        self._blocked: dict[int, CarriedStream] = {}  # by descriptor; changed only within a turn

    def carry(self, connection: socket.socket, reader: EventReader) -> bool:
        """Writes the reader's events to the socket until its end, or until they have to be read from the
        store; blocks meanwhile. False if the client has gone. ServerFull, before anything was written, if the
        system has no thread or descriptor for the writer.

        The socket must be plain TCP or Unix, in the middle of a chunked response, and nobody else's until
        this returns; whole chunks have been written then.
        """
        self._ensure_running()
        stream = CarriedStream(connection, reader)
        mark = self._marker(stream)
        with self._guard:
            self._streams.add(stream)
        with reader.listening(mark):
            mark()  # events that came since the reader looked last
            stream.done.wait()
        if stream.pending and not stream.failed:
            connection.sendall(stream.pending)
        return not stream.failed

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
                self._wake.set()  # somebody else's turn, or somebody was quicker

    def _marker(self, stream: CarriedStream) -> Callable[[], None]:
        marked, wake = self._marked, self._wake

        def mark() -> None:
            if not stream.marked:
                stream.marked = True
                marked.append(stream)
                if not self._batching and not wake.is_set():
                    wake.set()

        return mark

    def _ensure_running(self) -> None:
        with self._guard:
            if self._poll is None:
                try:
                    self._poll = select.epoll()
                except OSError as error:
                    raise ServerFull() from error
        self._thread.ensure_running()

    # ---- the writer's thread

    def _work(self) -> None:
        heartbeats = time.monotonic() + 1.0
        while True:
            try:
                self._wake.wait(1.0 if not self._blocked else 0.05)
                with self._turn:
                    self._round()
                    if time.monotonic() >= heartbeats:
                        self._beat()
                        heartbeats = time.monotonic() + 1.0
                time.sleep(ROUND_SECONDS)
            except Exception:
                log.exception("a round of the stream writer failed")

    def _round(self) -> None:
        self._wake.clear()
        if self._blocked and self._poll is not None:
            for descriptor, _ in self._poll.poll(0):
                self._unblock(descriptor)
        todo = len(self._marked)
        for stream in self._marked[:todo]:
            stream.marked = False  # before reading: what comes after is marked anew
            self._write(stream)
        del self._marked[:todo]

    def _write(self, stream: CarriedStream) -> None:
        if stream.pending or stream.done.is_set():
            return
        try:
            while (frames := stream.reader.take()) is not None:
                if not frames:
                    return
                if not self._send(stream, _chunk(frames)):
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
        if self._poll is not None:
            self._poll.register(stream.descriptor, select.EPOLLOUT | select.EPOLLONESHOT)
        self._blocked[stream.descriptor] = stream
        return False

    def _unblock(self, descriptor: int) -> None:
        stream = self._blocked.pop(descriptor, None)
        if stream is None:
            return
        self._unregister(descriptor)
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
        stream.done.set()

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
        if self._blocked.pop(stream.descriptor, None) is not None:
            self._unregister(stream.descriptor)
        stream.failed = True
        self._finish(stream)

    def _unregister(self, descriptor: int) -> None:
        try:
            if self._poll is not None:
                self._poll.unregister(descriptor)
        except OSError:
            pass  # closed already


def _chunk(data: bytes) -> bytes:
    return b"%X\r\n%b\r\n" % (len(data), data)
