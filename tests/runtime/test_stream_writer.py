"""The thread that writes all streams: whole chunks in order, slow clients, clients that leave, and the way back."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from app.errors import ServerFull
from app.runtime.streams.event_log import EndMark, EventLog, EventLogs
from app.runtime.streams.event_reader import EventReader
from app.runtime.streams.recent_events import KEEP_EVENTS
from app.runtime.streams.stream_writer import StreamWriter
from app.store.store import Store
from tests.harness.descriptors import connection_with
from tests.harness.process import eventually

PATIENCE = 20.0


class Carried:
    """A stream that the writer carries on a thread of the test's, with its client's end."""

    def __init__(self, writer: StreamWriter, store: Store, *, number: int | None = None) -> None:
        """With a `number` the server's end has that descriptor."""
        self.client, self._server = socket.socketpair() if number is None else connection_with(number)
        self.client.settimeout(PATIENCE)
        self._server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.logs = EventLogs()
        self.log: EventLog = self.logs.open("s", 1)
        self.end = EndMark()
        self.reader = EventReader(self.log, self.logs, store.events, after=0, end=self.end)
        self.outcome: bool | None = None
        self._thread = threading.Thread(target=self._carry, args=(writer,))
        self._thread.start()

    def _carry(self, writer: StreamWriter) -> None:
        self.outcome = writer.carry(self._server, self.reader)

    def publish(self, *payloads: bytes) -> None:
        self.log.publish(payloads, self.end)

    def finish(self) -> None:
        self.log.seal([b'{"type":"stream_stopped"}'], self.end)
        self.log.show_end(self.end, self.log.next_number - 1)

    def join(self) -> bool | None:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the writer did not give the stream back"
        return self.outcome

    def received(self) -> bytes:
        """Everything that was sent, with the chunks taken apart; the server's end is closed first."""
        return unchunked(self.received_raw())

    def received_raw(self) -> bytes:
        self._server.close()
        raw = b""
        while piece := self.client.recv(65536):
            raw += piece
        return raw

    def close(self) -> None:
        self.reader.interrupt()
        self._thread.join(PATIENCE)
        self.client.close()
        self._server.close()


def unchunked(raw: bytes) -> bytes:
    data = b""
    while raw:
        head, _, rest = raw.partition(b"\r\n")
        size = int(head, 16)
        assert rest[size : size + 2] == b"\r\n", "a chunk is whole"
        data, raw = data + rest[:size], rest[size + 2 :]
    return data


@pytest.fixture(scope="module")
def writer() -> StreamWriter:
    return StreamWriter(heartbeat=b": ping\n\n", heartbeat_seconds=0.05)


@pytest.fixture
def quiet_writer() -> StreamWriter:
    return StreamWriter(heartbeat=b": ping\n\n", heartbeat_seconds=1000.0)


@pytest.fixture
def carried(quiet_writer: StreamWriter, store: Store) -> Iterator[Carried]:
    stream = Carried(quiet_writer, store)
    yield stream
    stream.close()


def numbers(data: bytes) -> list[int]:
    return [int(number) for number in re.findall(rb"id: (\d+)\n", data)]


def test_everything_arrives_in_order_and_the_stream_comes_back_at_its_end(carried: Carried) -> None:
    for number in range(50):
        carried.publish(b'{"n":%d}' % number)
    carried.finish()
    assert carried.join() is True
    assert numbers(carried.received()) == list(range(1, 52))


def test_a_client_that_reads_slowly_gets_everything_and_holds_nobody_up(
    quiet_writer: StreamWriter, carried: Carried, store: Store
) -> None:
    big = b'{"text":"%s"}' % (b"x" * 20_000)
    carried.publish(*[big] * 20)  # far more than the socket takes
    other = Carried(quiet_writer, store)
    other.publish(b'{"n":1}')
    other.finish()
    assert other.join() is True  # while the first one is stuck
    other.close()
    carried.finish()
    received = b""
    while b"stream_stopped" not in received:
        received += carried.client.recv(65536)
    assert carried.join() is True
    assert numbers(unchunked(received + carried.received_raw())) == list(range(1, 22))


def test_a_client_that_has_left_is_given_up_at_the_next_write(carried: Carried) -> None:
    carried.client.close()
    carried.publish(b'{"n":1}')
    carried.publish(b'{"n":2}')
    assert carried.join() is False


def test_a_client_that_leaves_while_its_socket_is_full_is_given_up(
    quiet_writer: StreamWriter, carried: Carried
) -> None:
    carried.publish(*[b'{"text":"%s"}' % (b"x" * 50_000)] * 20)
    eventually(lambda: quiet_writer._loop.registered, "the socket is full")
    carried.reader.interrupt()  # as the hang-up watcher does
    assert carried.join() is False


def test_a_reader_that_falls_behind_what_the_log_keeps_comes_back_to_read_from_the_store(
    carried: Carried,
) -> None:
    carried.publish(*[b'{"text":"%s"}' % (b"x" * 50_000)] * 10)  # the socket is full, the cursor stands still
    more = KEEP_EVENTS + 600
    carried.publish(*[b"{}"] * more)
    carried.log.mark_written(carried.log.next_number - 1)
    received = b""
    carried.client.settimeout(0.1)

    def given_back() -> bool:
        nonlocal received
        try:
            received += carried.client.recv(65536)
        except TimeoutError:
            pass
        return carried.outcome is not None

    eventually(given_back, "the writer gave the stream back")
    assert carried.join() is True
    seen = numbers(unchunked(received + carried.received_raw()))
    assert seen == list(range(1, len(seen) + 1))
    assert len(seen) < 10 + more  # it was given back before the end


def test_silence_is_filled_with_heartbeats(writer: StreamWriter, store: Store) -> None:
    stream = Carried(writer, store)
    assert stream.client.recv(64) == b"8\r\n: ping\n\n\r\n"
    stream.close()


def test_what_is_published_in_a_batch_is_written_at_its_end_and_wakes_nobody(
    quiet_writer: StreamWriter, carried: Carried, monkeypatch: pytest.MonkeyPatch
) -> None:
    carried.publish(b'{"n":1}')
    assert numbers(unchunked(carried.client.recv(65536))) == [1]  # the stream is carried
    rung: list[StreamWriter] = []
    with quiet_writer._turn:
        monkeypatch.setattr(quiet_writer._loop, "wake", lambda: rung.append(quiet_writer))
    with quiet_writer.batch():
        carried.publish(b'{"n":2}')
        carried.publish(b'{"n":3}')
        assert quiet_writer._marked == [next(iter(quiet_writer._streams))]
    assert numbers(unchunked(carried.client.recv(65536))) == [2, 3]
    assert not rung


def test_a_batch_that_ends_in_somebody_elses_round_leaves_nothing_behind(
    quiet_writer: StreamWriter, carried: Carried
) -> None:
    carried.publish(b'{"n":1}')
    assert numbers(unchunked(carried.client.recv(65536))) == [1]  # the stream is carried
    with quiet_writer._turn, quiet_writer.batch():
        carried.publish(b'{"n":2}')
    assert numbers(unchunked(carried.client.recv(65536))) == [2]


def test_batches_and_rounds_at_the_same_time_lose_and_repeat_nothing(
    quiet_writer: StreamWriter, carried: Carried
) -> None:
    def publish_alone() -> None:
        for _ in range(500):
            carried.publish(b'{"n":"alone"}')

    def publish_in_batches() -> None:
        for _ in range(250):
            with quiet_writer.batch():
                carried.publish(b'{"n":"first"}', b'{"n":"second"}')

    received = bytearray()

    def read() -> None:
        while piece := carried.client.recv(65536):
            received.extend(piece)

    threads = [threading.Thread(target=one) for one in (publish_alone, publish_in_batches)]
    reader = threading.Thread(target=read)
    for thread in (*threads, reader):
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    carried.finish()
    assert carried.join() is True
    carried._server.close()
    reader.join(PATIENCE)
    assert numbers(unchunked(bytes(received))) == list(range(1, 1002))


def test_a_stream_that_fails_in_an_unforeseen_way_ends_and_holds_nobody_up(
    quiet_writer: StreamWriter,
    carried: Carried,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    other = Carried(quiet_writer, store)
    failing = threading.Event()

    def fail(reader: EventReader) -> Any:
        if reader is carried.reader:
            failing.set()
            raise RuntimeError("nobody has thought of this")
        return take(reader)

    take: Any = EventReader.take
    monkeypatch.setattr(EventReader, "take", fail)
    carried.publish(b'{"n":1}')
    assert failing.wait(PATIENCE)
    other.publish(b'{"n":1}')
    other.finish()
    try:
        assert other.join() is True
        assert numbers(other.received()) == [1, 2]
        assert carried.join() is False
        assert carried.reader.gave_up
        assert "nobody has thought of this" in caplog.text
    finally:
        other.close()


def test_a_writer_that_could_not_start_starts_with_the_next_stream(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = StreamWriter(heartbeat=b"", heartbeat_seconds=1000.0)

    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    logs = EventLogs()
    reader = EventReader(logs.open("s", 1), logs, store.events, after=0, end=EndMark())
    client, server = socket.socketpair()
    with client, server, monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        with pytest.raises(ServerFull):
            writer.carry(server, reader)
    stream = Carried(writer, store)
    stream.publish(b'{"n":1}')
    stream.finish()
    assert stream.join() is True
    assert numbers(stream.received()) == [1, 2]
    stream.close()


def test_a_blocked_stream_that_was_dropped_leaves_its_number_to_the_next_one(
    quiet_writer: StreamWriter, store: Store
) -> None:
    big = b'{"text":"%s"}' % (b"x" * 20_000)
    old = Carried(quiet_writer, store)
    old.publish(*[big] * 20)
    number = old._server.fileno()
    eventually(lambda: bool(quiet_writer._loop.registered), "it is blocked")
    old.reader.interrupt()
    assert old.join() is False
    old.close()
    new = Carried(quiet_writer, store, number=number)
    new.publish(*[big] * 20)
    new.finish()
    received = b""
    while b"stream_stopped" not in received:
        received += new.client.recv(65536)
    assert new.join() is True
    assert numbers(unchunked(received + new.received_raw())) == list(range(1, 22))
    new.close()
