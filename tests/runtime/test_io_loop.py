"""The loop under the model's reader, the stream writer and the hang-ups, with each selector that a system may have."""

from __future__ import annotations

import os
import select
import selectors
import socket
import threading
from collections.abc import Iterator
from queue import SimpleQueue

import pytest

from app.agent.anthropic.http.pump import Pump
from app.agent.anthropic.http.socket_connection import SocketConnection
from app.io_loop import READABLE, WRITABLE, IoLoop
from app.runtime.streams.disconnects import DisconnectWatcher
from app.runtime.streams.stream_writer import StreamWriter
from app.store.store import Store
from tests.harness.models import PATIENCE
from tests.harness.process import eventually
from tests.runtime.test_stream_writer import Carried, numbers, unchunked

SELECTORS = [selectors.DefaultSelector, selectors.PollSelector, selectors.SelectSelector]


@pytest.fixture(params=SELECTORS, ids=lambda one: one.__name__, autouse=True)
def only_selector(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without epoll, what else only Linux has is not there either."""
    if request.param is selectors.DefaultSelector:
        return
    monkeypatch.setattr(selectors, "DefaultSelector", request.param)
    for module, name in (
        (select, "epoll"),
        (select, "EPOLLRDHUP"),
        (select, "POLLRDHUP"),
        (os, "eventfd"),
        (os, "eventfd_write"),
    ):
        monkeypatch.delattr(module, name)


class Served:
    """A loop, and what it was given. Reads what there is, so that nothing is ready twice."""

    def __init__(self) -> None:
        self.rounds: list[list[socket.socket]] = []
        self.errors = 0
        self.loop: IoLoop[socket.socket] = IoLoop(self._serve, name="loop")

    def _serve(self, ready: list[socket.socket]) -> None:
        self.rounds.append(ready)
        for one in ready:
            if one.recv(16) == b"fail":
                raise RuntimeError("it can't be served")

    def got(self, one: socket.socket) -> bool:
        return any(one in ready for ready in self.rounds)


Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    near, far = socket.socketpair()
    with near, far:
        yield near, far


@pytest.fixture
def served(pair: Pair) -> Iterator[Served]:
    """It ends before the pair is closed: `select` and `poll` refuse a closed descriptor."""
    served = Served()
    yield served
    served.loop.close()


def test_a_socket_that_is_registered_while_the_loop_waits_is_served(served: Served, pair: Pair) -> None:
    near, far = pair
    served.loop.ensure_running()
    eventually(lambda: served.rounds == [[]], "it waits, without a limit")
    served.loop.register(near.fileno(), READABLE, near)
    far.send(b"hello")
    eventually(lambda: served.got(near), "it was served")
    assert served.loop.registered == [near]
    assert served.loop.unregister(near.fileno(), near)
    assert served.loop.registered == []


def test_another_one_of_the_same_number_stays_registered(served: Served, pair: Pair) -> None:
    near, far = pair
    served.loop.register(near.fileno(), READABLE, near)
    assert not served.loop.unregister(near.fileno(), far)
    assert served.loop.registered == [near]
    assert served.loop.unregister(near.fileno(), near)
    assert not served.loop.unregister(near.fileno(), near)


def test_a_writable_socket_is_served(pair: Pair) -> None:
    near, _ = pair
    writable = threading.Event()

    def serve(ready: list[socket.socket]) -> None:
        for one in ready:
            loop.unregister(one.fileno(), one)
            writable.set()

    loop = IoLoop(serve, name="loop")
    loop.register(near.fileno(), WRITABLE, near)
    assert writable.wait(PATIENCE)
    loop.close()


def test_each_wake_is_followed_by_a_round_that_sees_what_came_before_it() -> None:
    todo: list[int] = []
    seen: SimpleQueue[int] = SimpleQueue()
    loop: IoLoop[object] = IoLoop(lambda _: seen.put(len(todo)), name="loop")
    loop.wake()  # of a loop that does not run yet: nothing happens
    loop.ensure_running()
    for number in range(1, 200):
        todo.append(number)
        loop.wake()
        while seen.get(timeout=PATIENCE) < number:
            pass
    loop.close()
    loop.wake()


def test_the_seconds_that_a_round_asks_for_end_the_wait() -> None:
    rounds, enough = [0], threading.Event()

    def serve(_: list[object]) -> float:
        rounds[0] += 1
        if rounds[0] == 3:
            enough.set()
        return 0.001

    loop = IoLoop(serve, name="loop")
    loop.ensure_running()
    assert enough.wait(PATIENCE), "nobody wakes it"
    loop.close()


def test_a_round_that_fails_is_followed_by_the_next(
    served: Served, pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    near, far = pair
    served.loop.register(near.fileno(), READABLE, near)
    far.send(b"fail")
    eventually(lambda: "it can't be served" in caplog.text, "the error is logged")
    before = len(served.rounds)
    far.send(b"hello")
    eventually(lambda: len(served.rounds) > before, "the next round comes")


def test_a_closed_loop_refuses_and_has_given_everything_back(served: Served, pair: Pair) -> None:
    files = set(os.listdir("/proc/self/fd"))
    near, _ = pair
    served.loop.register(near.fileno(), READABLE, near)
    assert len(os.listdir("/proc/self/fd")) > len(files)
    served.loop.close()
    served.loop.close()
    assert set(os.listdir("/proc/self/fd")) == files
    with pytest.raises(OSError, match="closed"):
        served.loop.register(near.fileno(), READABLE, near)


def test_a_loop_can_be_closed_by_its_own_thread() -> None:
    closed = threading.Event()

    def serve(_: list[object]) -> None:
        loop.close()
        closed.set()

    loop = IoLoop(serve, name="closes itself")
    loop.ensure_running()
    assert closed.wait(PATIENCE)
    eventually(lambda: "closes itself" not in [one.name for one in threading.enumerate()], "it has ended")


# ---- its users


def test_an_answer_is_read(pair: Pair) -> None:
    near, far = pair
    pump, came = Pump(), threading.Event()
    taken: list[bytes] = []

    def take(data: bytes) -> bool:
        taken.append(data)
        came.set()
        return data != b"last"

    reading = threading.Thread(
        target=pump.read, args=(SocketConnection(near), take), kwargs={"stall_timeout": PATIENCE}
    )
    reading.start()
    far.send(b"first")
    assert came.wait(PATIENCE)
    far.send(b"last")
    reading.join(PATIENCE)
    assert taken == [b"first", b"last"]
    pump.close()


def test_a_hang_up_is_told() -> None:
    watcher, told = DisconnectWatcher(), threading.Event()
    busy_near, busy_far = socket.socketpair()
    near, far = socket.socketpair()
    with near, far, busy_near, busy_far:
        with watcher.watching(busy_near, lambda: None), watcher.watching(near, told.set):
            busy_far.send(b"a request that comes too early")
            eventually(lambda: bool(watcher._unread), "it has unread bytes")
            assert not told.is_set()
            far.close()
            assert told.wait(PATIENCE)
        assert watcher._loop.registered == []
        assert not watcher._unread


def test_a_client_that_reads_late_gets_everything(store: Store) -> None:
    writer = StreamWriter(heartbeat=b"", heartbeat_seconds=1000.0)
    stream = Carried(writer, store)
    stream.publish(*[b'{"text":"%s"}' % (b"x" * 20_000)] * 20)
    stream.finish()
    eventually(lambda: bool(writer._loop.registered), "the socket is full")
    received = b""
    while b"stream_stopped" not in received:
        received += stream.client.recv(65536)
    assert stream.join() is True
    assert numbers(unchunked(received + stream.received_raw())) == list(range(1, 22))
    stream.close()
