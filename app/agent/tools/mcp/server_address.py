"""Where a tool server is, and what it is told: all that decides whether two agents can share one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from app.agent.tools.cage import Cage, caged
from app.agent.tools.processes import Command
from app.team.lifecycle import Lifecycle

Pairs = tuple[tuple[str, str], ...]

SSE = "sse"
STREAMABLE = ("streamable", "streamable-http")


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Either a command or a URL. `owner` is whose sessions it serves: a connection that one user's token opened, and
    what a process was told, is nobody else's. Secrets are in it, so it is not shown."""

    owner: str = ""
    command: tuple[str, ...] = field(default=(), repr=False)
    environment: Pairs = field(default=(), repr=False)
    working_dir: str = ""
    cage: Cage | None = None
    url: str = field(default="", repr=False)
    transport: str = ""
    headers: Pairs = field(default=(), repr=False)
    lifecycle: Lifecycle | None = None  # how it is looked after, where the agent's author says so
    origins: tuple[str, ...] = ()  # servers that the agent's author lets it send us to, private ones included
    vaults: tuple[str, ...] | None = None  # where its tokens lie, for a server that a user has named
    public_only: bool = False

    @classmethod
    def of_command(
        cls,
        command: str,
        args: Sequence[str],
        *,
        environment: Mapping[str, str],
        working_dir: str,
        owner: str,
        cage: Cage | None = None,
        lifecycle: Lifecycle | None = None,
    ) -> ServerAddress:
        pairs = tuple(sorted(environment.items()))
        return cls(owner, (command, *args), pairs, working_dir, cage, lifecycle=lifecycle)

    @classmethod
    def of_url(
        cls,
        url: str,
        transport: str,
        *,
        headers: Mapping[str, str],
        owner: str,
        origins: Sequence[str] = (),
        lifecycle: Lifecycle | None = None,
    ) -> ServerAddress:
        pairs = tuple(sorted(headers.items()))
        return cls(
            owner, url=url, transport=transport, headers=pairs, origins=tuple(origins), lifecycle=lifecycle
        )

    @classmethod
    def of_vaults(cls, url: str, vaults: Sequence[str], *, owner: str, public_only: bool) -> ServerAddress:
        return cls(owner, url=url, transport=STREAMABLE[0], vaults=tuple(vaults), public_only=public_only)

    def to_start(self) -> Command:
        """The parameters that start its process. Raises OSError."""
        directory = Path(self.working_dir)
        return caged(Command(self.command, directory, dict(self.environment)), self.cage, directory)

    @property
    def label(self) -> str:
        """The server's name in warnings."""
        if self.command:
            return f"mcp(stdio cmd={self.command[0]} args_len={len(self.command) - 1})"
        return f"mcp(remote host={urlsplit(self.url).netloc.rpartition('@')[2]} transport={self.transport})"
