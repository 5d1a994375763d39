"""Tells within milliseconds that a client has hung up, however silent its stream is.

A response that writes nothing notices a hang-up only at its next failing write. One thread and one epoll per
process watch the sockets instead. Where there is no epoll, heartbeats have to do.
"""

from __future__ import annotations

import logging
import select
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)


class HangupWatcher:
    """Started with the first socket it watches, so never before a fork."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._epoll: select.epoll | None = None
        self._callbacks: dict[int, Callable[[], None]] = {}

    def watch(self, descriptor: int, callback: Callable[[], None]) -> None:
        """Calls back once, on the watcher's thread, when the peer of this socket closes its side."""
        if not hasattr(select, "epoll"):
            return
        with self._guard:
            if self._epoll is None:
                self._epoll = select.epoll()
                threading.Thread(target=self._work, name="hangups", daemon=True).start()
            self._callbacks[descriptor] = callback
            self._epoll.register(descriptor, select.EPOLLRDHUP | select.EPOLLONESHOT)

    def forget(self, descriptor: int) -> None:
        """Call it while the socket is still open; its number may belong to another one afterwards."""
        with self._guard:
            if self._callbacks.pop(descriptor, None) is not None:
                self._unregister(descriptor)

    def _unregister(self, descriptor: int) -> None:
        try:
            if self._epoll is not None:
                self._epoll.unregister(descriptor)
        except OSError:
            pass  # closed already

    def _work(self) -> None:
        assert self._epoll is not None  # noqa: S101 - made before this thread
        while True:
            for descriptor, _ in self._epoll.poll():
                with self._guard:
                    callback = self._callbacks.pop(descriptor, None)
                    if callback is not None:
                        self._unregister(descriptor)
                if callback is not None:
                    try:
                        callback()
                    except Exception:
                        log.exception("a hang-up could not be handled")
