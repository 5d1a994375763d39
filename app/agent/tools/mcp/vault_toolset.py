"""The tools of a server that an agent's API names, with credentials out of the session's vaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from app.agent.model_client import Cancellation
from app.agent.tool_normalizing import offered_name
from app.agent.tools.mcp.mcp_toolset import McpToolset
from app.agent.tools.mcp.results import tool_of
from app.agent.tools.mcp.server_address import ServerAddress
from app.agent.tools.mcp.server_calls import ServerUnavailable
from app.agent.tools.mcp.server_state import AuthorizationMissing
from app.agent.tools.mcp.tool_servers import ToolServers
from app.agent.toolset import (
    Elicitation,
    Outcome,
    OutcomeUnknown,
    ServerLost,
    Tool,
    ToolContext,
    ToolFailed,
    ToolResult,
)
from app.team.remote_server import RemoteServer


class VaultToolset(McpToolset):
    """A server that can't be had is left out for this run, and tried again by the next one."""

    def __init__(
        self, servers: ToolServers, remote: RemoteServer, *, owner: str, cancellation: Cancellation
    ) -> None:
        address = ServerAddress.of_vaults(
            remote.url, remote.vaults, owner=owner, public_only=remote.public_only
        )
        super().__init__(servers, address, name=remote.name, cancellation=cancellation)
        self.label = f"MCP server {remote.name}"
        self._remote = remote

    @property
    def instructions(self) -> str:
        return str(self._masked(super().instructions))

    def prepare(self) -> None:
        is_new = self._server is None
        super().prepare()
        if is_new and self.status().state == "failed":
            self.restart()

    def start(self) -> None:
        """Waits for the server, for a bounded time. ServerLost."""
        self.prepare()
        self._wait()

    def tools(self) -> Sequence[Tool]:
        """The enabled ones. ServerLost."""
        self._wait()
        offered = []
        for described in self._running.tools:
            own = str(described.get("name") or "")
            rule = self._remote.rule(own)
            if own and rule.enabled:
                tool = tool_of(described, "", partial(self._call, own))
                name = offered_name(f"{self._remote.prefix}{own}")
                offered.append(replace(tool, name=name, policy="ask" if rule.asks else "allow"))
        return offered

    def _wait(self) -> None:
        try:
            self._running.wait_until_ready(self._cancellation)
        except AuthorizationMissing as missing:
            raise self._lost(missing.why, is_unauthorized=True) from missing
        except ServerUnavailable as unavailable:
            if self._cancellation.is_set():
                raise  # nobody has waited for it to the end
            raise self._lost(str(unavailable), is_unauthorized=False) from unavailable
        if why := self._running.refusal:
            raise self._lost(why, is_unauthorized=True)

    def _lost(self, why: str, *, is_unauthorized: bool) -> ServerLost:
        return ServerLost(self._remote.name, str(self._masked(why)), is_unauthorized=is_unauthorized)

    def _call(self, name: str, arguments: Mapping[str, Any], context: ToolContext) -> Outcome:
        """Tokens that the server was sent are masked in what it says. Nobody is asked its questions: the
        session's clients have no words for them."""
        try:
            outcome = super()._call(name, arguments, context)
            while isinstance(outcome, Elicitation) and outcome.then is not None:
                outcome = outcome.then("decline", None)
        except ToolFailed as failure:
            refusal = self._server.refusal if self._server is not None else ""
            words = f"failed to call tool: {refusal}" if refusal else str(failure)
            raise ToolFailed(str(self._masked(words))) from failure
        except OutcomeUnknown as unknown:
            raise OutcomeUnknown(str(self._masked(str(unknown)))) from unknown
        if not isinstance(outcome, ToolResult):
            return outcome
        structured = self._masked(outcome.structured)
        return replace(outcome, output=str(self._masked(outcome.output)), structured=structured)

    def _masked(self, value: Any) -> Any:
        return value if self._server is None else self._server.masked(value)
