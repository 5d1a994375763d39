"""Tells within milliseconds that a client has hung up, however silent its stream is.

A response that writes nothing notices a hang-up only at its next failing write. One thread and one epoll per
process watch the sockets instead. Where there is no epoll, heartbeats have to do.
"""

from __future__ import annotations

import logging
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from app.errors import ServerFull
from app.threads import ServiceThread

log = logging.getLogger(__name__)

HAS_EPOLL: Final = hasattr(select, "epoll")


@dataclass(frozen=True, slots=True, eq=False)
class _Watch:
    """One connection that is watched. Its descriptor's number may stand for another connection later."""

    connection: socket.socket
    descriptor: int
    callback: Callable[[], None]

    def has_hung_up(self) -> bool:
        """Asks the socket itself; call it only while the connection is open."""
        poller = select.poll()
        poller.register(self.connection, select.POLLRDHUP)
        return bool(poller.poll(0))


class DisconnectWatcher:
    """Started with the first socket it watches, so never before a fork. Its methods may be called by any thread."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._epoll: select.epoll | None = None
        self._watches: dict[int, _Watch] = {}  # by descriptor
        self._thread = ServiceThread(self._work, name="hangups")

    @contextmanager
    def watching(self, connection: socket.socket, callback: Callable[[], None]) -> Iterator[None]:
        """While inside, calls back once, on the watcher's thread, when the peer of this socket closes its side. The
        socket must stay open until then. If the system has no descriptor or thread to give, nothing is watched:
        heartbeats notice the hang-up later."""
        watch = _Watch(connection, connection.fileno(), callback)
        if HAS_EPOLL:
            try:
                self._add(watch)
            except (OSError, ServerFull):
                log.warning("a client's hang-up will be noticed late", exc_info=True)
        try:
            yield
        finally:
            self._remove(watch)

    def _add(self, watch: _Watch) -> None:
        with self._guard:
            if self._epoll is None:
                self._epoll = select.epoll()
            self._thread.ensure_running()
            self._epoll.register(watch.descriptor, select.EPOLLRDHUP | select.EPOLLONESHOT)
            self._watches[watch.descriptor] = watch

    def _remove(self, watch: _Watch) -> None:
        with self._guard:
            self._forget(watch)

    def _forget(self, watch: _Watch) -> None:
        """The guard is held, and the watch's connection is open."""
        if self._watches.get(watch.descriptor) is not watch:
            return
        del self._watches[watch.descriptor]
        try:
            if self._epoll is not None:
                self._epoll.unregister(watch.descriptor)
        except OSError:
            pass  # closed already

    def _work(self) -> None:
        assert self._epoll is not None  # noqa: S101 - made before this thread
        while True:
            for descriptor, _ in self._epoll.poll():
                try:
                    if (watch := self._hung_up(descriptor)) is not None:
                        watch.callback()
                except Exception:
                    log.exception("a hang-up could not be handled")

    def _hung_up(self, descriptor: int) -> _Watch | None:
        """The watch that the event is for, which is over then. The event may be older than the watch that has the
        number now, so that one's socket is asked whether it has been closed."""
        with self._guard:
            watch = self._watches.get(descriptor)
            if watch is None or self._epoll is None:
                return None
            if not watch.has_hung_up():
                self._epoll.modify(descriptor, select.EPOLLRDHUP | select.EPOLLONESHOT)
                return None
            self._forget(watch)
            return watch
