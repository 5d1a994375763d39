"""The tool servers of a process: each is started once, and shared by all runs that mean the same."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from typing import Final

from app.agent.tools.mcp.server_address import ServerAddress
from app.agent.tools.mcp.server_state import ServerStatus, ServerTimeouts
from app.agent.tools.mcp.tool_server import ToolServer
from app.agent.tools.mcp.vault_access import Vaults

log = logging.getLogger(__name__)

IDLE_SECONDS: Final = 600.0  # how long a server that nobody uses is kept
IDLE_OF_USERS: Final = 50  # and how many of those that users have named: they may name any number


class ToolServers:
    """Any thread may call it. Nobody waits here for a server: starting and ending have threads of their own."""

    def __init__(
        self,
        *,
        patience: ServerTimeouts | None = None,
        idle_seconds: float = IDLE_SECONDS,
        vaults: Vaults | None = None,
        idle_of_users: int = IDLE_OF_USERS,
    ) -> None:
        """`vaults` has the tokens for servers that users have named."""
        self._vaults = vaults
        self._idle_of_users = idle_of_users
        self._patience = patience
        self._idle_seconds = idle_seconds
        self._guard = threading.Lock()
        self._servers: dict[ServerAddress, ToolServer] = {}
        self._users: dict[ServerAddress, int] = {}
        self._idle_since: dict[ServerAddress, float] = {}
        self._ending: list[ToolServer] = []  # idle ones that were told to end
        self._timer: threading.Timer | None = None  # runs whenever a server is idle
        self._closed = False

    def acquire(self, address: ServerAddress) -> ToolServer:
        """The server, started if need be; it is kept until as many have released it. Raises RuntimeError when
        the process is ending, ServerUnavailable if it can't be started now."""
        with self._guard:
            if self._closed:
                raise RuntimeError("the server is stopping")
            server = self._servers.get(address)
            if server is None or server.is_closed:
                server = self._servers[address] = ToolServer(address, self._patience, self._vaults)
            self._users[address] = self._users.get(address, 0) + 1
            self._idle_since.pop(address, None)
            self._watch_idle()
            return server

    def release(self, address: ServerAddress) -> None:
        """One that nobody uses is kept for a while, but for the oldest of too many that users have named."""
        surplus: list[ToolServer] = []
        with self._guard:
            self._users[address] -= 1
            if not self._users[address] and not self._closed:
                self._idle_since[address] = time.monotonic()
                named = [idle for idle in self._idle_since if idle.vaults is not None]
                surplus = [self._forget(idle) for idle in named[: -self._idle_of_users]]
                self._end(surplus)
                self._watch_idle()
        for server in surplus:
            server.begin_close()

    @property
    def failing(self) -> bool:
        """Is there one of an agent file that somebody uses and that can't be had?"""
        with self._guard:
            return any(
                server.has_failed and self._users.get(at)
                for at, server in self._servers.items()
                if at.vaults is None
            )

    def status(self, address: ServerAddress) -> ServerStatus:
        """Looks, and starts nothing."""
        with self._guard:
            server = self._servers.get(address)
        return server.status if server is not None else ServerStatus()

    def restart(self, address: ServerAddress) -> bool:
        """Has the server connect anew, if there is one; else the next user starts it anyway. False, and nothing is
        done, if a call of anybody is under way there."""
        with self._guard:
            server = self._servers.get(address)
        return server is None or server.restart()

    def close(self) -> None:
        """Ends all of them at the same time, and waits for that; for those that are ending already, too."""
        with self._guard:
            self._closed = True
            servers = self._ending + [self._forget(address) for address in list(self._servers)]
            self._ending = []
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        for server in servers:
            server.begin_close()
        for server in servers:
            server.close()

    def _watch_idle(self) -> None:
        """Sets the timer for the next server that is due. If it can't be started, the next caller tries again."""
        if self._timer is not None or self._closed or not self._idle_since:
            return
        due = min(self._idle_since.values()) + self._idle_seconds
        timer = threading.Timer(max(due - time.monotonic(), 0.0), self._close_idle)
        timer.daemon = True
        try:
            timer.start()
        except RuntimeError:
            log.warning("idle tool servers are kept for now", exc_info=True)
        else:
            self._timer = timer

    def _close_idle(self) -> None:
        """Begins to end the servers that have been idle for long; looks again when the next one is due."""
        with self._guard:
            self._timer = None
            if self._closed:
                return
            since = time.monotonic() - self._idle_seconds
            idle = [address for address, began in self._idle_since.items() if began <= since]
            servers = [self._forget(address) for address in idle]
            self._end(servers)
            self._watch_idle()
        for server in servers:
            server.begin_close()

    def _end(self, servers: Sequence[ToolServer]) -> None:
        self._ending = [*(server for server in self._ending if not server.has_ended), *servers]

    def _forget(self, address: ServerAddress) -> ToolServer:
        self._idle_since.pop(address, None)
        return self._servers.pop(address)
