"""One thread that reads answers for all exchanges of the process, while their own threads sleep.

Waking a thread for each small piece of an answer costs more than everything that is done with the piece, and a
hundred threads that are woken at the same pace fight over the interpreter. A thread that reads an answer therefore
lends its connection to the pump, with a function that takes what arrives; it is woken when that function wants it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Final

import httpx2

from app.agent.anthropic.http.socket_connection import SocketConnection
from app.errors import ServerFull
from app.io_loop import READABLE, IoLoop

Take = Callable[[bytes], bool]
"""Called on the pump's thread with all that has arrived, b"" if the peer has closed. False: its owner goes on. It
must not block; an error in it is raised at its owner's."""

Reading = Callable[[], AbstractContextManager[object]]

ROUND_SECONDS: Final = 0.002
"""The least time between two rounds; bytes that arrive after a quiet moment are taken at once."""

GROUP: Final = 16
"""Connections that are read before what they said is passed on: when a hundred have something at once, the first
must not wait for the last."""


class _Lent:
    """A connection while the pump reads from it."""

    __slots__ = ("connection", "descriptor", "done", "error", "guard", "last", "take")

    def __init__(self, connection: SocketConnection, take: Take) -> None:
        self.connection = connection
        self.descriptor = connection.socket.fileno()
        self.take = take
        self.error: BaseException | None = None
        self.last = time.monotonic()
        self.guard = threading.Lock()  # held by the thread that uses the connection
        self.done = threading.Event()


class Pump:
    """Serves all threads of a process; its own begins with the first connection, so never before a fork."""

    def __init__(self, reading: Reading = nullcontext) -> None:
        """`reading` is entered around each group of reads."""
        self._reading = reading
        self._guard = threading.Lock()
        self._closed = False
        self._lent: IoLoop[_Lent] = IoLoop(self._serve_all, name="model-reader", pause=ROUND_SECONDS)

    def read(self, connection: SocketConnection, take: Take, *, stall_timeout: float) -> None:
        """Blocks until `take` returns False. ReadTimeout if nothing arrives for so many seconds; the errors of
        reading and of `take`."""
        lent = _Lent(connection, take)
        self._lend(lent)
        while not lent.done.wait(max(lent.last + stall_timeout - time.monotonic(), 0.0)):
            with lent.guard:
                if not lent.done.is_set() and time.monotonic() >= lent.last + stall_timeout:
                    self._give_back(lent)
                    raise httpx2.ReadTimeout(f"nothing came for {stall_timeout:g} seconds")
        if lent.error is not None:
            raise lent.error

    def close(self) -> None:
        """Ends the thread. Exchanges that still read get a ReadError."""
        with self._guard:
            self._closed = True
            lent = self._lent.registered
        self._lent.close()
        for one in lent:
            with one.guard:
                if not one.done.is_set():
                    one.error = httpx2.ReadError("the transport was closed")
                    self._give_back(one)

    def _lend(self, lent: _Lent) -> None:
        with self._guard:
            if self._closed:
                raise httpx2.ReadError("the transport was closed")
            try:
                self._lent.register(lent.descriptor, READABLE, lent)
            except (OSError, ServerFull) as error:  # no more descriptors, or threads, to be had
                raise httpx2.ReadError(f"nobody can read the answer: {error}") from error

    # ---- the pump's thread

    def _serve_all(self, ready: list[_Lent]) -> None:
        for start in range(0, len(ready), GROUP):
            with self._reading():
                for lent in ready[start : start + GROUP]:
                    with lent.guard:
                        self._serve(lent)

    def _serve(self, lent: _Lent) -> None:
        """Passes on what has arrived, which may be nothing. Nothing that goes wrong here is another exchange's
        business."""
        if lent.done.is_set():
            return
        try:
            data = lent.connection.receive_now()
            if data is None or lent.take(data):
                lent.last = time.monotonic()
                return
        except BaseException as error:
            lent.error = error
        self._give_back(lent)

    def _give_back(self, lent: _Lent) -> None:
        """Wakes the connection's owner; nobody else touches it from now on."""
        self._lent.unregister(lent.descriptor, lent)
        lent.done.set()
