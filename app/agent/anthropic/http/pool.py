"""Connections that wait for their next request."""

from __future__ import annotations

import threading
import time
from collections import defaultdict

from app.agent.anthropic.http.route import Route
from app.agent.anthropic.http.socket_connection import SocketConnection


class Pool:
    """Gives out the one that was used last. Safe on any thread."""

    def __init__(self, keep_alive: float, max_idle: int) -> None:
        self._keep_alive = keep_alive
        self._max_idle = max_idle
        self._lock = threading.Lock()
        self._idle: defaultdict[Route, list[SocketConnection]] = defaultdict(
            list
        )  # of a route, the oldest first
        self._closed = False

    def take(self, route: Route) -> SocketConnection | None:
        while True:
            with self._lock:
                if not self._idle[route]:
                    return None
                connection = self._idle[route].pop()
            if self._is_fresh(connection) and not connection.is_stale():
                return connection
            connection.close()

    def give(self, route: Route, connection: SocketConnection) -> None:
        connection.idle_since = time.monotonic()
        with self._lock:
            leaving = self._expired()
            if self._closed or sum(map(len, self._idle.values())) >= self._max_idle:
                leaving.append(connection)
            else:
                self._idle[route].append(connection)
        for one in leaving:
            one.close()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            leaving = [connection for idle in self._idle.values() for connection in idle]
            self._idle.clear()
        for connection in leaving:
            connection.close()

    def _expired(self) -> list[SocketConnection]:
        """Takes out what has been idle for too long, on every route."""
        leaving = []
        for idle in self._idle.values():
            while idle and not self._is_fresh(idle[0]):
                leaving.append(idle.pop(0))
        return leaving

    def _is_fresh(self, connection: SocketConnection) -> bool:
        return time.monotonic() - connection.idle_since < self._keep_alive
