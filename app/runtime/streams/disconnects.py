"""Tells within milliseconds that a client has hung up, however silent its stream is.

A response that writes nothing notices a hang-up only at its next failing write. One thread per process watches the
sockets instead.
"""

from __future__ import annotations

import logging
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from app.errors import ServerFull
from app.io_loop import READABLE, IoLoop

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.05
"""Between two looks at a client that has sent bytes which nobody reads: its socket is ready all the time."""


class _Watch:
    """One connection that is watched. Its descriptor's number may stand for another connection later."""

    __slots__ = ("callback", "connection", "descriptor", "is_over")

    def __init__(self, connection: socket.socket, callback: Callable[[], None]) -> None:
        self.connection = connection
        self.descriptor = connection.fileno()
        self.callback = callback
        self.is_over = False

    def look(self) -> tuple[bool, bool]:
        """Whether the client has hung up, and whether it has sent something; call it only while the connection is
        open. Where poll has no POLLRDHUP, as on macOS, unread bytes hide a hang-up, and heartbeats have to do."""
        if hasattr(select, "POLLRDHUP") and hasattr(select, "poll"):
            poller = select.poll()
            poller.register(self.connection, select.POLLRDHUP)
            if poller.poll(0):
                return True, False
        try:
            # Not the method of a TLS socket, which knows no flags: its bytes count here, not their meaning.
            unread = socket.socket.recv(self.connection, 1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False, False
        except OSError:
            return True, False  # the client has cut the connection
        return not unread, bool(unread)


class DisconnectWatcher:
    """Started with the first socket it watches, so never before a fork. Its methods may be called by any thread."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._loop: IoLoop[_Watch] = IoLoop(self._serve, name="hangups")
        self._unread: set[_Watch] = set()  # not in the loop, but looked at now and then

    @contextmanager
    def watching(self, connection: socket.socket, callback: Callable[[], None]) -> Iterator[None]:
        """While inside, calls back once, on the watcher's thread, when the peer of this socket closes its side. The
        socket must stay open until then. If the system has no descriptor or thread to give, nothing is watched:
        heartbeats notice the hang-up later."""
        watch = _Watch(connection, callback)
        try:
            self._loop.register(watch.descriptor, READABLE, watch)
        except (OSError, ServerFull):
            log.warning("a client's hang-up will be noticed late", exc_info=True)
        try:
            yield
        finally:
            with self._guard:
                self._end(watch)

    def _serve(self, ready: list[_Watch]) -> float | None:
        for watch in (*ready, *self._unread):
            try:
                if self._has_hung_up(watch):
                    watch.callback()
            except Exception:
                log.exception("a hang-up could not be handled")
                with self._guard:
                    self._end(watch)
        return LOOK_SECONDS if self._unread else None

    def _has_hung_up(self, watch: _Watch) -> bool:
        """True once. The event may be that of an earlier connection with this descriptor."""
        with self._guard:
            if watch.is_over:
                return False
            hung_up, has_unread = watch.look()
            if hung_up:
                self._end(watch)
            elif has_unread and self._loop.unregister(watch.descriptor, watch):
                self._unread.add(watch)
            return hung_up

    def _end(self, watch: _Watch) -> None:
        """The guard is held, and the watch's connection is open."""
        watch.is_over = True
        self._unread.discard(watch)
        self._loop.unregister(watch.descriptor, watch)
