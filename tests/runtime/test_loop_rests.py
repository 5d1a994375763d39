"""How often the loop's thread wakes, and for how long it rests, by a clock of the test's own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from app import io_loop
from app.io_loop import READABLE, REST, IoLoop
from tests.harness.process import eventually

PAUSE = 2.0


class Clock:
    """Stands still unless somebody sleeps or lets time pass."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []
        self.has_served = False
        self.looked_after_round = threading.Semaphore(0)

    def monotonic(self) -> float:
        now = self.now
        if self.has_served:
            self.has_served = False
            self.looked_after_round.release()
        return now

    def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 6))
        self.now += seconds


class Looped:
    """A loop over one socket, whose rounds take as long as the test says."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.round_takes = 0.0
        self.rounds = 0
        self.loop: IoLoop[str] = IoLoop(self._serve, name="looped", pause=PAUSE)
        self.near, self._far = socket.socketpair()
        self.loop.register(self._far.fileno(), READABLE, "far")

    def _serve(self, ready: list[str]) -> None:
        self.rounds += 1
        if ready:
            self._far.recv(64)
            self._clock.now += self.round_takes
            self._clock.has_served = True

    def say(self) -> None:
        """Returns when the loop has heard it, and knows how long that took."""
        self.near.send(b"!")
        assert self._clock.looked_after_round.acquire(timeout=10)

    def close(self) -> None:
        self.loop.close()
        self.near.close()
        self._far.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(io_loop, "time", clock)
    return clock


@pytest.fixture
def looped(clock: Clock) -> Iterator[Looped]:
    with closing(Looped(clock)) as looped:
        eventually(lambda: looped.rounds == 1, "the round of the loop's beginning")
        yield looped


def test_a_loop_that_has_rested_already_serves_at_once(looped: Looped, clock: Clock) -> None:
    for _ in range(5):
        looped.say()
        clock.now += PAUSE
    assert clock.slept == []
    assert looped.rounds == 6  # and it was woken for nothing else


@pytest.mark.parametrize(("takes", "rests"), [(0.1, 0.1 * REST), (10.0, PAUSE)])
def test_it_rests_by_how_long_its_round_took_and_no_longer_than_it_may(
    looped: Looped, clock: Clock, takes: float, rests: float
) -> None:
    looped.round_takes = takes
    looped.say()
    looped.say()
    assert clock.slept == [round(rests, 6)]
