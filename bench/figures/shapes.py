"""The way from a run's events to the client's socket, in four shapes, side by side.

Everything but the shape is the server's own: its logs, its readers and its writer. One thread plays all the models,
as the pump does; the clients are a process of their own. The figure is the CPU of the process that publishes and
writes.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import tempfile
import threading
import time
from array import array
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from app.runtime.streams.event_log import EndMark, EventLog, EventLogs
from app.runtime.streams.event_reader import EventReader
from app.runtime.streams.stream_writer import StreamWriter
from app.store.engine import Database
from app.store.store import Store
from bench.accounting import quantile
from bench.contestants import OURS
from bench.course import Course
from bench.processes import started
from bench.table import Row

TICK: Final = 0.002
LONGEST_WINDOW: Final = 0.02
WARM_UP: Final = 1.0
_PAYLOAD: Final = b'{"type":"agent_choice","content":" word","session_id":"%d","timestamp":"%019d"}'


class Stream:
    """One client's socket, and what is published for it."""

    def __init__(self, number: int, connection: socket.socket, logs: EventLogs, store: Store) -> None:
        self.number = number
        self.socket = connection
        self.log: EventLog = logs.open(str(number), 1)
        self.end = EndMark()
        self.reader = EventReader(self.log, logs, store.events, after=0, end=self.end)

    def publish(self) -> None:
        self.log.publish([_PAYLOAD % (self.number, time.monotonic_ns())], self.end)


Shape = Callable[[Stream], None]
"""Writes one stream to its socket until the stream ends; on a thread of its own, as a request has one."""


def waiting_thread(stream: Stream) -> None:
    while frames := stream.reader.next(60.0):
        stream.socket.sendall(frames)


def coalescing_thread(stream: Stream) -> None:
    """Once woken it waits for more, for longer as long as more comes."""
    window = 0.001
    while (frames := stream.reader.next(60.0)) is not None:
        time.sleep(window)
        more = stream.reader.next(0.0)
        window = min(window * 2, LONGEST_WINDOW) if more else max(window / 2, 0.001)
        stream.socket.sendall(frames + (more or b""))


def writer_of_all() -> Shape:
    writer = StreamWriter(heartbeat=b": ping\n\n", heartbeat_seconds=60.0)

    def carry(stream: Stream) -> None:
        writer.carry(stream.socket, stream.reader)

    return carry


def publisher_writes(stream: Stream) -> None:
    """The thread that publishes sends at once; the request's thread only waits for the end."""
    stream.reader.listen(lambda: pending.append(stream))
    threading.Event().wait()


pending: list[Stream] = []
"""The streams to which `publisher_writes` has to send: it is called while the log is locked, and sends a moment
later."""

SHAPES: Final[dict[str, Callable[[], Shape]]] = {
    "a request thread each": lambda: waiting_thread,
    "a request thread each, with a window": lambda: coalescing_thread,
    "one writer for all": writer_of_all,
    "who publishes writes": lambda: publisher_writes,
}


def compare(course: Course) -> list[Row]:
    rows = []
    for streams, pace in course.extent.shapes:
        for name in SHAPES:
            plan = json.dumps([name, streams, pace, course.extent.window])
            with started(["-m", "bench.figures.shapes", plan], course.arena.new_directory()) as process:
                assert process.stdout is not None
                cost, p50, p99 = json.loads(process.stdout.readline())
            figure = f"{name}, {streams} × {pace}/s"
            rows.append(Row(f"reader's side: {figure}, CPU per delta", "µs", {OURS: cost}))
            rows.append(Row(f"reader's side: {figure}, p50", "ms", {OURS: p50}))
            rows.append(Row(f"reader's side: {figure}, p99", "ms", {OURS: p99}))
    return rows


# ---- in a process of its own


def main(name: str, count: int, pace: int, seconds: float) -> None:
    pairs = [_tcp_pair() for _ in range(count)]
    report, told = os.pipe()
    if os.fork() == 0:
        _read_all([theirs for _, theirs in pairs], told)
        os._exit(0)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store = Store(Database(f"sqlite:///{directory / 'none.db'}"), lease_seconds=30)
        logs = EventLogs()
        streams = [Stream(number, ours, logs, store) for number, (ours, _) in enumerate(pairs)]
        shape = SHAPES[name]()
        for stream in streams:
            threading.Thread(target=shape, args=(stream,), daemon=True).start()
        _play(streams, pace, WARM_UP)
        before = time.process_time()
        published = _play(streams, pace, seconds)
        cost = (time.process_time() - before) / published * 1e6
    for ours, _ in pairs:
        ours.shutdown(socket.SHUT_RDWR)
    with open(report) as answer:
        p50, p99 = json.loads(answer.readline())
    print(json.dumps([cost, p50, p99]), flush=True)
    os._exit(0)  # the streams have no end


def _tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return ours, theirs


def _play(streams: Sequence[Stream], pace: int, seconds: float) -> int:
    """Publishes for all streams at that pace, their moments spread evenly; how many."""
    begin, published = time.monotonic(), 0
    while (now := time.monotonic()) < begin + seconds:
        due = int((now - begin) * pace * len(streams))
        for index in range(published, due):
            stream = streams[index % len(streams)]
            stream.publish()
            while pending:
                waiting = pending.pop()
                waiting.socket.sendall(waiting.reader.take() or b"")
            if stream.log.next_number - stream.log.first_number > 2000:
                stream.log.mark_written(stream.log.next_number - 1)
        published = max(published, due)
        time.sleep(TICK)
    return published


def _read_all(sockets: Sequence[socket.socket], told: int) -> None:
    """How late every event came, until all streams have ended."""
    poll, late = select.epoll(), array("q")
    by_number = {one.fileno(): one for one in sockets}
    for number in by_number:
        poll.register(number, select.EPOLLIN)
    mark = b'"timestamp":"'
    while by_number:
        for number, _ in poll.poll():
            data = by_number[number].recv(1 << 16)
            now = time.monotonic_ns()
            if not data:
                poll.unregister(number)
                del by_number[number]
            late.extend(now - int(piece[:19]) for piece in data.split(mark)[1:] if piece[:19].isdigit())
    with os.fdopen(told, "w") as answer:
        answer.write(json.dumps([quantile(late, 0.5) / 1e6, quantile(late, 0.99) / 1e6]) + "\n")


if __name__ == "__main__":
    main(*json.loads(sys.argv[1]))
