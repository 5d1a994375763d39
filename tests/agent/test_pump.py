"""The thread that reads for all exchanges: how it begins and ends, and whose bytes it passes on."""

from __future__ import annotations

import socket
import threading

import httpx2
import pytest

from app.agent.anthropic.http.pump import Pump
from app.agent.anthropic.http.socket_connection import SocketConnection
from app.io_loop import IoLoop
from tests.harness.descriptors import connection_with
from tests.harness.models import PATIENCE
from tests.harness.process import eventually


def test_closing_rings_no_bell_that_the_thread_has_taken_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may see that it is to end before it is rung; the bell's number could be somebody else's file by then."""
    before = {*threading.enumerate()}
    near, far = socket.socketpair()
    pump, taken, failures = Pump(), threading.Event(), []

    def take(_data: bytes) -> bool:
        taken.set()
        return True

    def read() -> None:
        try:
            pump.read(SocketConnection(near), take, stall_timeout=PATIENCE)
        except httpx2.ReadError as error:
            failures.append(str(error))

    wake = IoLoop.wake

    def wake_late(loop: IoLoop[object]) -> None:
        far.send(b"it looks up")
        eventually(
            lambda: {*threading.enumerate()} <= before | {reading}, "the thread has seen that it is to end"
        )
        wake(loop)

    with near, far:
        reading = threading.Thread(target=read)
        reading.start()
        far.send(b"hello")
        assert taken.wait(PATIENCE)
        monkeypatch.setattr(IoLoop, "wake", wake_late)
        pump.close()
        pump.close()
        reading.join(PATIENCE)
    assert failures == ["the transport was closed"]


class Reading:
    """An exchange that reads on a thread of its own, until it has been told `stop`."""

    def __init__(self, pump: Pump, near: socket.socket, *, hold: threading.Event | None = None) -> None:
        self.entered, self.taken = threading.Event(), b""
        self.failure = ""
        self._hold = hold
        self._thread = threading.Thread(target=self._read, args=(pump, SocketConnection(near)))
        self._thread.start()

    def _read(self, pump: Pump, connection: SocketConnection) -> None:
        try:
            pump.read(connection, self._take, stall_timeout=PATIENCE)
        except httpx2.ReadError as error:
            self.failure = str(error)

    def _take(self, data: bytes) -> bool:
        self.taken += data
        self.entered.set()
        if self._hold is not None:
            assert self._hold.wait(PATIENCE)
        return b"stop" not in self.taken and bool(data)

    def join(self) -> None:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()


def test_the_event_of_a_closed_connection_is_not_the_end_of_the_next_one_of_its_number() -> None:
    pump = Pump()
    pairs = [socket.socketpair() for _ in range(3)]
    gate, go_on = threading.Event(), threading.Event()
    (first_near, first_far), (one_near, one_far), (two_near, two_far) = pairs
    first = Reading(pump, first_near, hold=gate)
    first_far.send(b"stop")
    assert first.entered.wait(PATIENCE)
    both = {one_near: Reading(pump, one_near, hold=go_on), two_near: Reading(pump, two_near, hold=go_on)}
    eventually(lambda: len(pump._lent.registered) == 3, "all are lent")
    for far in (one_far, two_far):  # both events come to the thread together
        far.close()
    gate.set()
    eventually(
        lambda: any(reading.entered.is_set() for reading in both.values()), "the first of both is served"
    )
    victim = next(near for near, reading in both.items() if not reading.entered.is_set())
    lent = next(one for one in pump._lent.registered if one.descriptor == victim.fileno())
    with lent.guard:  # as if it had waited too long
        pump._give_back(lent)
    number = victim.fileno()
    victim.close()
    far, near = connection_with(number)
    new = Reading(pump, near)
    eventually(lambda: number in [one.descriptor for one in pump._lent.registered], "the new one is lent")
    go_on.set()
    far.send(b"all is well, stop")
    for reading in (first, new, *both.values()):
        reading.join()
    assert (new.taken, new.failure) == (b"all is well, stop", "")
    pump.close()
    for one in (first_near, first_far, one_near, two_near, near, far):
        one.close()


def test_a_reader_that_could_not_start_starts_with_the_next_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    pump = Pump()
    near, far = socket.socketpair()

    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with near, far:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", no_thread)
            with pytest.raises(httpx2.ReadError):
                pump.read(SocketConnection(near), lambda _: False, stall_timeout=PATIENCE)
        far.send(b"stop")
        reading = Reading(pump, near)
        reading.join()
        assert reading.taken == b"stop"
        pump.close()
