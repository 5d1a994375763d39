"""A model that costs next to nothing: one epoll loop writes ready-made deltas for a thousand streams.

The stand-in in `anthropic_standin` judges what it is sent; this one believes everything, so that on two cores the
servers are measured and not the model. It knows `[words N]`, `[pace R]` and `[stamp]` in the last message.
"""

from __future__ import annotations

import heapq
import itertools
import re
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from typing import Final

FLAT_BATCH: Final = 256  # deltas written at once when no pace is set
MAX_OWED: Final = 64  # deltas written at once by a stream that has fallen behind its pace
_LENGTH: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_SHORT_ANSWER: Final = re.compile(rb'"max_tokens": *\d{1,2}[,}]')  # a title, not the conversation
_DIRECTIVE: Final = re.compile(rb"\[(?:words (\d+)|pace (\d+)|(stamp))\]")

Owed = tuple[int, int, "Stream"]  # when the next delta is due, a number that breaks ties, the stream


def _frame(kind: bytes, rest: bytes) -> bytes:
    return b'event: %b\ndata: {"type":"%b"%b}\n\n' % (kind, kind, rest)


def _chunk(payload: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(payload), payload)


def _delta(nanoseconds: bytes) -> bytes:
    """A stamp is padded to 19 digits, so that every delta has the same length."""
    text = b',"index":0,"delta":{"type":"text_delta","text":"river t=%b "}' % nanoseconds
    return _chunk(_frame(b"content_block_delta", text))


HEAD: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nrequest-id: req_bench\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
OPENING: Final = HEAD + _chunk(
    _frame(
        b"message_start",
        b',"message":{"id":"msg_bench","type":"message","role":"assistant","model":"claude-sonnet-5-5",'
        b'"content":[],"stop_reason":null,"stop_sequence":null,'
        b'"usage":{"input_tokens":10,"output_tokens":1}}',
    )
    + _frame(b"content_block_start", b',"index":0,"content_block":{"type":"text","text":""}')
)
CLOSING: Final = (
    _chunk(
        _frame(b"content_block_stop", b',"index":0')
        + _frame(
            b"message_delta",
            b',"delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":10}',
        )
        + _frame(b"message_stop", b"")
    )
    + b"0\r\n\r\n"
)
PLAIN: Final = _delta(b"0" * 19)
STAMPED: Final = PLAIN.replace(b"0" * 19, b"%019d")


@dataclass(slots=True, eq=False)
class Stream:
    """One client's connection and what it is still owed."""

    connection: socket.socket
    received: bytearray = field(default_factory=bytearray)
    pending: bytes = b""  # written by us, not yet taken by the kernel
    remaining: int = 0
    interval: int = 0  # nanoseconds; 0: as fast as it goes
    stamped: bool = False
    busy: bool = False


class FakeModel:
    def __init__(self, port: int = 0) -> None:
        self._listener = socket.create_server(("127.0.0.1", port), backlog=2048)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._epoll = select.epoll()
        self._epoll.register(self._listener.fileno(), select.EPOLLIN)
        self._streams: dict[int, Stream] = {}
        self._due: list[Owed] = []
        self._numbers = itertools.count()

    def serve(self) -> None:
        while True:
            wait = max((self._due[0][0] - time.monotonic_ns()) / 1e9, 0.0) if self._due else -1
            for descriptor, events in self._epoll.poll(wait):
                self._attend(descriptor, events)
            now = time.monotonic_ns()
            while self._due and self._due[0][0] <= now:
                due, _, stream = heapq.heappop(self._due)
                self._pay(stream, due, time.monotonic_ns())

    def _attend(self, descriptor: int, events: int) -> None:
        if descriptor == self._listener.fileno():
            self._accept()
            return
        stream = self._streams.get(descriptor)
        if stream is None:
            return
        if events & (select.EPOLLHUP | select.EPOLLERR):
            self._forget(stream)
        elif events & select.EPOLLOUT:
            self._go_on(stream)
        elif events & select.EPOLLIN:
            self._receive(stream)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._streams[connection.fileno()] = Stream(connection)
        self._epoll.register(connection.fileno(), select.EPOLLIN)

    def _forget(self, stream: Stream) -> None:
        self._streams.pop(stream.connection.fileno(), None)
        stream.connection.close()
        stream.remaining = 0

    def _receive(self, stream: Stream) -> None:
        try:
            data = stream.connection.recv(1 << 20)
        except OSError:
            data = b""
        if not data:
            self._forget(stream)
            return
        stream.received += data
        head_end = stream.received.find(b"\r\n\r\n")
        if stream.busy or head_end < 0:
            return
        length = _LENGTH.search(stream.received, 0, head_end)
        body_end = head_end + 4 + (int(length[1]) if length else 0)
        if len(stream.received) >= body_end:
            body = bytes(stream.received[head_end + 4 : body_end])
            del stream.received[:body_end]
            self._answer(stream, body)

    def _answer(self, stream: Stream, body: bytes) -> None:
        words, pace, stream.stamped = _wishes(body)
        stream.busy, stream.remaining = True, words
        stream.interval = 1_000_000_000 // pace if pace else 0
        self._write(stream, OPENING)
        if stream.interval:
            self._owe(stream, time.monotonic_ns() + stream.interval)
        else:
            self._go_on(stream)

    def _owe(self, stream: Stream, due: int) -> None:
        if stream.pending:
            return  # `_go_on` does it, once the client reads again
        heapq.heappush(self._due, (due, next(self._numbers), stream))

    def _pay(self, stream: Stream, due: int, now: int) -> None:
        """Everything that is due by now; a client that does not read is owed it until it does."""
        if not stream.remaining:
            return
        count = min((now - due) // stream.interval + 1, stream.remaining, MAX_OWED)
        stream.remaining -= count
        delta = STAMPED % now if stream.stamped else PLAIN
        self._write(stream, delta * count if stream.remaining else delta * count + CLOSING)
        if stream.remaining:
            self._owe(stream, due + count * stream.interval)
        else:
            stream.busy = False

    def _go_on(self, stream: Stream) -> None:
        """Writes what waits; then, without a pace, as much more as the client takes."""
        pending, stream.pending = stream.pending, b""
        if pending:
            self._write(stream, pending)
        while stream.busy and not stream.pending and not stream.interval:
            count = min(FLAT_BATCH, stream.remaining)
            stream.remaining -= count
            stream.busy = bool(stream.remaining)
            self._write(stream, PLAIN * count if stream.busy else PLAIN * count + CLOSING)
        if not stream.pending and stream.connection.fileno() >= 0:
            self._epoll.modify(stream.connection.fileno(), select.EPOLLIN)
            if stream.busy and stream.interval:
                self._owe(stream, time.monotonic_ns())

    def _write(self, stream: Stream, data: bytes) -> None:
        try:
            sent = stream.connection.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._forget(stream)
            stream.busy = False
            return
        if sent < len(data):
            stream.pending = data[sent:]
            self._epoll.modify(stream.connection.fileno(), select.EPOLLIN | select.EPOLLOUT)


def _wishes(body: bytes) -> tuple[int, int, bool]:
    """Words, pace and whether to stamp, as the last message says."""
    if _SHORT_ANSWER.search(body[:2000]):
        return 4, 0, False
    words, pace, stamped = 5, 0, False
    for found in _DIRECTIVE.finditer(body, max(len(body) - 2000, 0)):
        words = int(found[1]) if found[1] else words
        pace = int(found[2]) if found[2] else pace
        stamped = stamped or bool(found[3])
    return words, pace, stamped


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # its parent stops it
    model = FakeModel(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    print(model.port, flush=True)
    model.serve()


if __name__ == "__main__":
    main()
