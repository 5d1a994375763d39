"""A connection to a tool server, on the event loop that it was made on. Importing this module takes a second,
so it is imported by the thread of the first server that needs it."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final

import anyio
import httpx2
import mcp_types as types
from mcp import Client
from mcp.client.session import ClientRequestContext
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp.shared.message import SessionMessage

from app.agent.tools.mcp.authorization import Bearer, how_to_authorize
from app.agent.tools.mcp.credentials import Credentials
from app.agent.tools.mcp.exchange import EXCHANGE, CallRefused
from app.agent.tools.mcp.http_answers import MAX_BODY, HttpAnswers
from app.agent.tools.mcp.json_rpc import AS_IT_CAME, JsonRpcMessages
from app.agent.tools.mcp.message_streams import Watched, forward
from app.agent.tools.mcp.pipes import LastWords, open_pipes
from app.agent.tools.mcp.public_transport import PublicTransport
from app.agent.tools.mcp.server_address import SSE, STREAMABLE, ServerAddress
from app.agent.tools.mcp.server_calls import words_of
from app.agent.tools.mcp.vault_access import VaultCredentials
from app.agent.tools.mcp.vault_bearer import VaultBearer
from app.agent.tools.process_family import kill_marked
from app.agent.tools.process_mark import STARTING, marking

fail_after = anyio.fail_after

# What goes wrong is said where it is known whose server it is; the package would add a traceback for each message.
logging.getLogger("mcp").setLevel(logging.CRITICAL)

MAX_PAGES: Final = 100
_REFUSALS: Final = (types.PARSE_ERROR, types.INVALID_REQUEST, types.METHOD_NOT_FOUND, types.INVALID_PARAMS)
CONNECT_SECONDS: Final = 30.0
LOCK_SECONDS: Final = 0.005  # poll interval; the lock is held for milliseconds

Elicit = Callable[[Mapping[str, Any]], Awaitable[tuple[str, Mapping[str, Any] | None]]]


class TokenWanted(Exception):
    """The server wants a token first; `meta` tells a client how to get one."""

    def __init__(self, meta: Mapping[str, Any], why: str = "the server wants an authorization") -> None:
        super().__init__(why)
        self.meta = meta


@dataclass(eq=False)
class ServerConnection:
    """`news` is set when the server has gone, wants a token, or has other tools than before. `on_end` is called
    at once when it has gone."""

    client: Client
    news: asyncio.Event
    tells_when_sent: bool = False  # the transport marks the exchange as soon as a request leaves
    on_end: Callable[[], None] = lambda: None
    ended: bool = False
    forgotten: bool = (
        False  # the server does not know the session any more; it ends when the caller knows, too
    )
    challenge: str | None = None  # of a 401

    @property
    def instructions(self) -> str:
        return self.client.instructions or ""

    async def list_tools(self) -> list[dict[str, Any]]:
        """As they came, sorted by name: an order that changes from start to start would spoil prompt caches."""
        if self.client.server_capabilities.tools is None:
            return []
        tools: list[Any] = []
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            page = await self.client.list_tools(cursor=cursor)
            found = (page.meta or {})[AS_IT_CAME]["tools"]
            repeats = cursor is not None and page.next_cursor == cursor  # and would for ever
            tools += [tool for tool in found if not repeats or tool not in tools]
            cursor = page.next_cursor
            if not cursor or repeats:
                break
        described = [tool if isinstance(tool, dict) else {"name": ""} for tool in tools]
        return sorted(described, key=lambda tool: str(tool.get("name", "")))

    async def call(
        self, name: str, arguments: Mapping[str, Any], alive: Callable[[], None]
    ) -> dict[str, Any]:
        """The result as it came; `alive` is called for each sign of progress. CallRefused if the server says that it
        did not carry out the call; any other exception leaves that open."""

        async def progressed(*_how: Any, **_far: Any) -> None:
            alive()

        if not self.tells_when_sent:
            _mark_sent()
        try:
            asked = types.CallToolRequestParams(name=name, arguments=dict(arguments))
            result = await self.client.session.send_request(
                types.CallToolRequest(params=asked), types.CallToolResult, progress_callback=progressed
            )
            came: dict[str, Any] = (result.meta or {})[AS_IT_CAME]
            return came
        except MCPError as error:
            if error.code in _REFUSALS:
                raise CallRefused(str(error)) from error
            raise
        finally:
            if self.forgotten:
                self.end()

    def end(self) -> None:
        self.ended = True
        self.on_end()
        self.news.set()

    def tools_have_changed(self) -> None:
        self.news.set()


@asynccontextmanager
async def connect(
    address: ServerAddress,
    credentials: Credentials | VaultCredentials,
    elicit: Elicit,
    can_end: Callable[[], None],
) -> AsyncIterator[ServerConnection]:
    """Raises Unauthorized, or whatever went wrong. A token that has run out is renewed if it can be.

    `can_end` is called when a cancel does no harm any more: one that came while a process is started would leave it
    behind, with its pipes.
    """
    wire = _Wire(address, credentials, can_end)
    try:
        async with _connected(wire, elicit) as connection:
            yield connection
    except Exception as error:
        if wire.challenge is not None and isinstance(credentials, VaultCredentials):
            raise TokenWanted({}, wire.challenge) from error
        if wire.challenge is not None:
            raise TokenWanted(await how_to_authorize(address, wire.challenge)) from error
        if wire.last.line:
            raise ConnectionError(f"{words_of(error)}: {wire.last.line}") from error
        raise


@asynccontextmanager
async def _connected(wire: _Wire, elicit: Elicit) -> AsyncIterator[ServerConnection]:
    async def elicited(
        context: ClientRequestContext,  # noqa: ARG001 - the package passes it by name
        params: types.ElicitRequestParams,
    ) -> types.ElicitResult | types.ErrorData:
        asked = _json(params)
        if "mode" not in params.model_fields_set:
            del asked["mode"]  # a default of the package's
        action, content = await elicit(asked)
        return types.ElicitResult.model_validate({"action": action, "content": content})

    async def heard(message: object) -> None:
        if isinstance(message, types.ToolListChangedNotification):
            connection.tools_have_changed()

    client = Client(
        wire,
        client_info=types.Implementation(name="baton", version="1.0.0"),
        elicitation_callback=elicited,
        message_handler=heard,
        mode="legacy",  # all servers know it, and only so can one ask or tell of changes by itself
        cache=None,
    )
    connection = wire.connection = ServerConnection(
        client, asyncio.Event(), tells_when_sent=not wire.address.command
    )
    async with client:
        yield connection


@dataclass(eq=False)
class _Wire:
    """A transport that tells its connection when it has come to its end, and when a token is wanted."""

    address: ServerAddress
    credentials: Credentials | VaultCredentials
    can_end: Callable[[], None]
    connection: ServerConnection | None = None
    challenge: str | None = None
    last: LastWords = field(default_factory=LastWords)
    _opened: AsyncExitStack = field(default_factory=AsyncExitStack)

    def __post_init__(self) -> None:
        self._messages = JsonRpcMessages(self.address.label)
        # What another stream than the one that should bring it has to say.
        self._injected, self._found = anyio.create_memory_object_stream[Any](0)

    async def __aenter__(self) -> Any:
        if not self.address.command:
            self.can_end()
        async with AsyncExitStack() as opened:
            opened.enter_context(self._injected)
            opened.enter_context(self._found)
            read, write = await self._open(opened)
            if self.address.transport == SSE:
                tasks = await opened.enter_async_context(anyio.create_task_group())
                opened.callback(tasks.cancel_scope.cancel)
                tasks.start_soon(forward, read, self._injected)
                read = self._found
            self._opened = opened.pop_all()
        if self.address.command:
            self.can_end()
        return Watched(read, self._ended), write

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._opened.__aexit__(kind, error, trace)

    async def _open(self, opened: AsyncExitStack) -> Any:
        if not self.address.command:
            return await opened.enter_async_context(await self._transport(opened))
        mark = secrets.token_hex(16)
        opened.callback(kill_marked, mark)  # what has left the server's process group
        async with _starting(mark):
            pipes = open_pipes(self.address.to_start(), self._messages, self.last)
            return await opened.enter_async_context(pipes)

    async def _transport(self, opened: AsyncExitStack) -> AbstractAsyncContextManager[Any]:
        address = self.address
        if address.transport == SSE:
            return sse_client(address.url, httpx_client_factory=self._http)
        if address.transport in STREAMABLE:
            client = await opened.enter_async_context(self._http())
            return streamable_http_client(address.url, http_client=client, max_sse_event_size=2 * MAX_BODY)
        raise ValueError(f"unsupported transport type: {address.transport}")

    def _http(self, *_given: Any, **_options: Any) -> HttpAnswers:
        """An answer may take as long as its call may; reading has no limit of its own."""
        credentials = self.credentials
        auth: httpx2.Auth = (
            VaultBearer(credentials, self._refuse)
            if isinstance(credentials, VaultCredentials)
            else Bearer(self.address, credentials, self._refuse)
        )
        return HttpAnswers(
            self._messages,
            one_way=self.address.transport == SSE,
            inject=self._inject,
            forget=self._forget,
            headers=dict(self.address.headers),
            timeout=httpx2.Timeout(CONNECT_SECONDS, read=None),
            trust_env=False,
            event_hooks={"request": [_watch_sending]},
            auth=auth,
            transport=PublicTransport() if self.address.public_only else None,
        )

    async def _inject(self, message: types.JSONRPCMessage) -> None:
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            await self._injected.send(SessionMessage(message))

    def _refuse(self, challenge: str) -> None:
        self.challenge = challenge
        if (exchange := EXCHANGE.get()) is not None:
            exchange.has_left = False  # the answer came: the server refused the request unread
        if self.connection is not None:
            self.connection.challenge = challenge
            self.connection.end()

    def _forget(self, *, is_told: bool) -> None:
        """`is_told`: a caller gets to know it."""
        if self.connection is not None:
            self.connection.forgotten = True
            if not is_told or EXCHANGE.get() is None:
                self.connection.end()

    def _ended(self) -> None:
        if self.connection is not None:
            self.connection.end()


@asynccontextmanager
async def _starting(mark: str) -> AsyncIterator[None]:
    """A process that is started inside carries the mark. Waits for its turn without holding up the loop."""
    while not STARTING.acquire(blocking=False):
        await asyncio.sleep(LOCK_SECONDS)
    try:
        with marking(mark):
            yield
    finally:
        STARTING.release()


def _mark_sent() -> None:
    if (exchange := EXCHANGE.get()) is not None:
        exchange.leave()


async def _watch_sending(request: httpx2.Request) -> None:
    """Marks the exchange when there is a connection and the request's first byte is about to leave."""

    async def trace(event: str, _info: Mapping[str, Any]) -> None:
        if event.endswith(".send_request_headers.started"):
            _mark_sent()

    request.extensions = {**request.extensions, "trace": trace}


def _json(value: Any) -> dict[str, Any]:
    dumped: dict[str, Any] = value.model_dump(by_alias=True, mode="json", exclude_none=True)
    return dumped
