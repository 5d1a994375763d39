"""The tool servers of a process: each is started once, and shared by all runs that mean the same."""

from __future__ import annotations

import threading
import time
from typing import Final

from app.agent.tools.mcp.address import ServerAddress
from app.agent.tools.mcp.server import Patience, ToolServer

IDLE_SECONDS: Final = 600.0  # how long a server that nobody uses is kept


class ToolServers:
    """Any thread may call it. Nobody waits here for a server: starting and ending have threads of their own."""

    def __init__(self, *, patience: Patience | None = None, idle_seconds: float = IDLE_SECONDS) -> None:
        self._patience = patience
        self._idle_seconds = idle_seconds
        self._guard = threading.Lock()
        self._servers: dict[ServerAddress, ToolServer] = {}
        self._users: dict[ServerAddress, int] = {}
        self._idle_since: dict[ServerAddress, float] = {}
        self._timer: threading.Timer | None = None
        self._closed = False

    def acquire(self, address: ServerAddress) -> ToolServer:
        """The server, started if need be; it is kept until as many have released it. Raises RuntimeError when
        the process is ending."""
        with self._guard:
            if self._closed:
                raise RuntimeError("the server is stopping")
            server = self._servers.get(address)
            if server is None or server.is_closed:
                server = self._servers[address] = ToolServer(address, self._patience)
            self._users[address] = self._users.get(address, 0) + 1
            self._idle_since.pop(address, None)
            return server

    def release(self, address: ServerAddress) -> None:
        with self._guard:
            self._users[address] -= 1
            if not self._users[address] and not self._closed:
                self._idle_since[address] = time.monotonic()
                self._set_timer(self._idle_seconds)

    def close(self) -> None:
        """Ends all of them at the same time, and waits for that."""
        with self._guard:
            self._closed = True
            servers = [self._forget(address) for address in list(self._servers)]
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        for server in servers:
            server.begin_close()
        for server in servers:
            server.close()

    def _set_timer(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = threading.Timer(seconds, self._close_idle)
            self._timer.daemon = True
            self._timer.start()

    def _close_idle(self) -> None:
        """Begins to end the servers that nobody has used for long; looks again when the next one is due."""
        with self._guard:
            self._timer = None
            now = time.monotonic()
            due = {address: since + self._idle_seconds - now for address, since in self._idle_since.items()}
            servers = [self._forget(address) for address, left in due.items() if left <= 0]
            if self._idle_since and not self._closed:
                self._set_timer(min(left for left in due.values() if left > 0))
        for server in servers:
            server.begin_close()

    def _forget(self, address: ServerAddress) -> ToolServer:
        self._idle_since.pop(address, None)
        return self._servers.pop(address)
