"""The `mcp` toolset: the tools of a server, as one run sees them."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from app.agent.model_client import Cancellation
from app.agent.tools.mcp.exchange import CallDone, CallFailed, Exchange, ServerQuestion
from app.agent.tools.mcp.prompts import Prompt, expand, list_prompts
from app.agent.tools.mcp.results import result_of, to_send, tool_of
from app.agent.tools.mcp.server_address import ServerAddress
from app.agent.tools.mcp.server_calls import ServerUnavailable, words_of
from app.agent.tools.mcp.server_state import AuthorizationMissing, ServerStatus
from app.agent.tools.mcp.tool_server import Answer, ToolServer
from app.agent.tools.mcp.tool_servers import ToolServers
from app.agent.tools.toolset_bases import PlainToolset
from app.agent.toolset import (
    CANCELLED,
    Elicitation,
    Outcome,
    OutcomeUnknown,
    QuestionFirst,
    Tool,
    ToolCancelled,
    ToolContext,
    ToolFailed,
    ToolsetFailed,
)

log = logging.getLogger(__name__)

_DECLINED: Final = "nobody authorized the server"


class ServerRefused(ToolsetFailed):
    """The server's own words for what it did not do."""


class McpToolset(PlainToolset):
    """`name` is put before the names of the tools; the server knows them without."""

    def __init__(
        self, servers: ToolServers, address: ServerAddress, *, name: str = "", cancellation: Cancellation
    ) -> None:
        self.label = address.label
        self._servers = servers
        self.address = address
        self._name = name
        self._cancellation = cancellation
        self._declined = False
        self._server: ToolServer | None = None

    @property
    def instructions(self) -> str:
        return self._server.instructions if self._server else ""

    def prepare(self) -> None:
        """Lets the server start, and waits for nothing. Raises RuntimeError when the process is ending."""
        if self._server is None:
            self._server = self._servers.acquire(self.address)

    def start(self) -> None:
        """Waits for the server, for a bounded time. Raises QuestionFirst if it wants a token."""
        self.prepare()
        try:
            self._running.wait_until_ready(self._cancellation)
        except AuthorizationMissing as missing:
            if self._declined:
                raise ServerUnavailable(_DECLINED) from missing
            question = Elicitation(f"The MCP server {self.label} wants an authorization", meta=missing.meta)
            raise QuestionFirst(question, self._authorize) from missing

    def tools(self) -> Sequence[Tool]:
        """As the server named them last."""
        return [
            tool_of(described, self._name, partial(self._call, str(described.get("name") or "")))
            for described in self._running.tools
        ]

    def prompts(self) -> Sequence[Prompt]:
        """Those that the started server offers. ServerUnavailable, TimeoutError, ServerRefused."""
        return self._ask(list_prompts)

    def expand(self, name: str, arguments: Mapping[str, str]) -> str:
        """The text of a prompt. Raises what `prompts` raises."""
        return self._ask(partial(expand, name=name, arguments=arguments))

    def status(self) -> ServerStatus:
        """How the server is, whether this toolset has started or not."""
        return self._servers.status(self.address)

    def restart(self) -> bool:
        """False, and nothing is done, while a call is under way at the server, whoever has made it."""
        return self._servers.restart(self.address)

    def stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            self._servers.release(self.address)

    @property
    def _running(self) -> ToolServer:
        if self._server is None:
            raise ServerUnavailable("the server was closed")
        return self._server

    def _ask(self, work: Callable[[Any], Awaitable[Answer]]) -> Answer:
        try:
            return self._running.ask(work)
        except (ServerUnavailable, TimeoutError):
            raise
        except Exception as error:
            raise ServerRefused(words_of(error)) from error

    def _authorize(self, action: str, content: Mapping[str, Any] | None) -> bool:
        granted = content or {}
        token = granted.get("access_token")
        if action != "accept" or not isinstance(token, str) or not token:
            self._declined = True
            return False
        self._running.authorize(granted)
        return True

    def _call(self, name: str, arguments: Mapping[str, Any], context: ToolContext) -> Outcome:
        if context.cancellation.is_set():
            raise ToolCancelled(CANCELLED)
        try:
            exchange = self._running.call(name, to_send(arguments), run=self)
        except ServerUnavailable as unavailable:
            raise ToolFailed(f"failed to call tool: {unavailable}") from unavailable
        return _outcome(exchange, context)


def _outcome(exchange: Exchange, context: ToolContext) -> Outcome:
    match exchange.next(context.cancellation):
        case CallDone(result):
            return result_of(result)
        case CallFailed(words, is_unknown=False):
            raise ToolFailed(f"failed to call tool: {words}")
        case CallFailed(words):
            raise OutcomeUnknown(f"failed to call tool: {words}")
        case ServerQuestion(params, reply):

            def go_on(action: str, content: Mapping[str, Any] | None) -> Outcome:
                reply(action, content)
                return _outcome(exchange, context)

            return Elicitation(
                str(params.get("message", "")),
                params.get("requestedSchema"),
                params.get("_meta"),
                mode=str(params.get("mode", "")),
                url=str(params.get("url", "")),
                elicitation_id=str(params.get("elicitationId", "")),
                then=go_on,
                abandon=exchange.abandon,
            )
