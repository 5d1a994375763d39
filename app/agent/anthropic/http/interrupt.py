"""How another thread ends a wait on a socket.

The waiting thread names the socket that it waits on; a thread that wants it to stop shuts that socket down, which
wakes the waiter in well under a millisecond, whether it connects, sends or reads. Only the waiter closes it: a
descriptor that is closed under a reader may be somebody else's a moment later.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import httpx2


class Interrupted(httpx2.TransportError):
    """Another thread asked for the end of the exchange."""


class Interrupt:
    """Ends one exchange. `request` may be called from any thread, the rest only from the exchange's own."""

    def __init__(self) -> None:
        self.requested = False
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None

    def request(self) -> None:
        with self._lock:
            self.requested = True
            if self._socket is not None:
                _shut_down(self._socket)

    def watch(self, waited_on: socket.socket) -> None:
        """From now on a request shuts this socket down. Raises Interrupted if there was one already."""
        with self._lock:
            if self.requested:
                raise Interrupted("interrupted")
            self._socket = waited_on

    def release(self) -> bool:
        """Lets go of the socket, which is about to be closed or to be used by somebody else. False if it has
        been shut down, or was never to be used."""
        with self._lock:
            self._socket = None
            return not self.requested

    @contextmanager
    def closing_on_error(self, owned: Closable) -> Iterator[None]:
        """Closes the socket, or the connection over it, should what happens inside fail."""
        try:
            yield
        except BaseException:
            self.release()
            owned.close()
            raise


class Closable(Protocol):
    def close(self) -> None: ...


def _shut_down(waited_on: socket.socket) -> None:
    try:
        waited_on.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # the peer was faster; or it was still connecting, and that ends too
