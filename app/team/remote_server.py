"""A tool server of an agent that was made through an API. No agent file has one: its toolsets of the type `mcp` are
the word of whoever runs the server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ToolRule:
    """`asks`: a person decides on each call."""

    enabled: bool
    asks: bool


@dataclass(frozen=True, slots=True)
class RemoteServer:
    """`prefix` stands before the names of its tools; `vaults` are those of the session, in their order. `public_only`:
    it is reached at public addresses only."""

    name: str
    url: str
    prefix: str
    default: ToolRule
    rules: tuple[tuple[str, ToolRule], ...] = ()  # by the tool's own name
    vaults: tuple[str, ...] = ()
    public_only: bool = True

    def rule(self, tool: str) -> ToolRule:
        return dict(self.rules).get(tool, self.default)
