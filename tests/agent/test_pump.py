"""The thread that reads for all exchanges: how it ends."""

from __future__ import annotations

import os
import socket
import threading

import httpx2
import pytest

from app.agent.http.connection import Connection
from app.agent.http.pump import Pump
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
            pump.read(Connection(near), take, stall_timeout=PATIENCE)
        except httpx2.ReadError as error:
            failures.append(str(error))

    ring = os.eventfd_write

    def ring_late(bell: int, value: int) -> None:
        far.send(b"it looks up")
        eventually(lambda: {*threading.enumerate()} <= before, "the thread has seen it")
        ring(bell, value)

    with near, far:
        reading = threading.Thread(target=read)
        reading.start()
        far.send(b"hello")
        assert taken.wait(PATIENCE)
        monkeypatch.setattr(os, "eventfd_write", ring_late)
        pump.close()
        pump.close()
    assert failures == ["the transport was closed"]
