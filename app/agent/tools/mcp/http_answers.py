"""HTTP answers of tool servers, in the form that the package `mcp` reads: a status, a body or an event that it can't
read becomes an error for the one request that it answers."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Any, Final

import anyio
import httpx2
from mcp_types import JSONRPCError, JSONRPCMessage, JSONRPCRequest, jsonrpc_message_adapter
from pydantic import ValidationError

from app import sse_format
from app.agent.tools.mcp.exchange import EXCHANGE
from app.agent.tools.mcp.http_statuses import (
    MAX_WORDS,
    SESSION,
    error_words,
    has_forgotten,
    read,
    wanted_pause,
    was_not_served,
)
from app.agent.tools.mcp.json_rpc import JsonRpcMessages

log = logging.getLogger(__name__)

MAX_BODY: Final = 32 << 20  # bytes of an answer, and of an event
MAX_WAIT: Final = 60.0  # seconds that a server may ask a call to wait
MAX_WAIT_AT_START: Final = 10.0

_pause = anyio.sleep

_LARGE: Final = (
    500_000  # characters of an event; the package reads no more than twice as many from such a stream
)
_EVENTS: Final = "text/event-stream"
_JSON: Final = "application/json"


class HttpAnswers(httpx2.AsyncClient):
    """A client for one tool server. With `one_way` the answers to requests come over another stream: `inject` puts an
    error into it. `forget` is called when the server does not know our session any more; `is_told`: a request's answer
    says so."""

    def __init__(
        self,
        messages: JsonRpcMessages,
        *,
        one_way: bool,
        inject: Callable[[JSONRPCMessage], Any],
        forget: Callable[..., None],  # is_told=bool
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._messages = messages
        self._one_way = one_way
        self._inject = inject
        self._forget = forget
        self._listens = False  # to what the server says by itself

    async def send(
        self,
        request: httpx2.Request,
        *,
        stream: bool = False,
        auth: Any = httpx2.USE_CLIENT_DEFAULT,
        follow_redirects: Any = httpx2.USE_CLIENT_DEFAULT,
    ) -> httpx2.Response:
        """As the package uses it: always with `stream`."""
        message = _message_in(request)
        if message is None:
            response = await super().send(
                request, stream=stream, auth=auth, follow_redirects=follow_redirects
            )
            return self._of_no_message(request, response)
        self._messages.sent(message)
        exchange = EXCHANGE.get()
        try:
            response = await super().send(
                request, stream=stream, auth=auth, follow_redirects=follow_redirects
            )
            bearable = MAX_WAIT if exchange is not None else MAX_WAIT_AT_START
            if (seconds := wanted_pause(response, bearable)) is not None:
                await response.aclose()
                _came_back()
                log.info("a tool server wants to be left alone for %.1f s", seconds)
                await _pause(seconds)
                if exchange is not None and exchange.is_over:
                    return _instead(request, HTTPStatus.ACCEPTED)  # nobody waits for what it would answer
                response = await super().send(
                    request, stream=stream, auth=auth, follow_redirects=follow_redirects
                )
        except httpx2.HTTPError as error:
            return await self._lost(message, request, error)
        if not isinstance(message, JSONRPCRequest):
            return await self._of_notice(request, response)
        if response.has_redirect_location and not self._one_way:
            return response  # the package follows it, or says why not
        return await self._of_request(message, request, response)

    async def _lost(
        self, message: JSONRPCMessage, request: httpx2.Request, error: httpx2.HTTPError
    ) -> httpx2.Response:
        """There is no answer, so the server may be gone: another connection is made when the caller knows."""
        self._forget(is_told=isinstance(message, JSONRPCRequest))
        if not isinstance(message, JSONRPCRequest):
            return _instead(request, HTTPStatus.ACCEPTED)
        exchange = EXCHANGE.get()
        why = str(error) or type(error).__name__
        if exchange is not None and exchange.has_left:
            return await self._answered(request, self._messages.broken(message.id, f"no answer came: {why}"))
        words = f"the server can't be reached: {why}"
        return await self._answered(request, self._messages.refused(message.id, words))

    async def _answered(self, request: httpx2.Request, error: JSONRPCError) -> httpx2.Response:
        """The request ends with this error."""
        if not self._one_way:
            return _instead(request, HTTPStatus.OK, [error])
        await self._inject(error)
        return _instead(request, HTTPStatus.ACCEPTED)

    def _of_no_message(self, request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        """The answer to a GET or DELETE of the transport."""
        if request.method == "GET" and not self._one_way:
            if response.status_code == HTTPStatus.NOT_FOUND and self._listens and SESSION in request.headers:
                self._forget(is_told=False)
            self._listens = self._listens or response.is_success
        return self._mended_events(request, response, None) if _kind(response) == _EVENTS else response

    async def _of_notice(self, request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        """The answer to a notification, or to what we have answered."""
        if response.is_error:
            words = await error_words(response)
            log.debug("a tool server did not take a message: %s", words)
            if has_forgotten(request, response, words):
                self._forget(is_told=False)
            return _instead(request, HTTPStatus.ACCEPTED)
        return response

    async def _of_request(
        self, message: JSONRPCRequest, request: httpx2.Request, response: httpx2.Response
    ) -> httpx2.Response:
        if response.is_error or (response.is_redirect and _leads_away(response)):
            return await self._error(message, request, response)
        if self._one_way:
            return response
        kind = _kind(response)
        if response.status_code == HTTPStatus.ACCEPTED:
            words = "HTTP 202 without an answer"
        elif kind == _EVENTS:
            return self._mended_events(request, response, message)
        elif kind == _JSON:
            return _instead(request, HTTPStatus.OK, await self._messages_in(message, response), response)
        else:
            words = f"the server's answer can't be read: it is of the type {kind!r}"
        await response.aclose()
        return _instead(request, HTTPStatus.OK, [self._messages.broken(message.id, words)])

    async def _error(
        self, message: JSONRPCRequest, request: httpx2.Request, response: httpx2.Response
    ) -> httpx2.Response:
        words = await error_words(response)
        if forgotten := has_forgotten(request, response, words):
            words = f"{words}. The server has forgotten our session; the next call opens a new one"
            self._forget(is_told=True)
        if forgotten or was_not_served(response):
            _came_back()
            error = self._messages.refused(message.id, words)
        else:
            error = self._messages.broken(message.id, words)
        return await self._answered(request, error)

    async def _messages_in(self, message: JSONRPCRequest, response: httpx2.Response) -> list[JSONRPCMessage]:
        try:
            body = await read(response, MAX_BODY)
        except httpx2.HTTPError as error:
            return [
                self._messages.broken(message.id, f"the answer broke off: {error or type(error).__name__}")
            ]
        if body is None:
            return [self._messages.broken(message.id, f"the answer is larger than {MAX_BODY >> 20} MiB")]
        text = body.decode("utf-8", "replace")
        found = self._messages.heard(text, answering=message.id)
        if not any(_answers(one) for one in found):
            words = f"the server's answer can't be read: it is no JSON-RPC: {text[:MAX_WORDS]!r}"
            found.append(self._messages.broken(message.id, words))
        return found

    def _mended_events(
        self, request: httpx2.Request, response: httpx2.Response, message: JSONRPCRequest | None
    ) -> httpx2.Response:
        events = self._events(response, message)
        return httpx2.Response(
            response.status_code,
            headers={"content-type": _EVENTS, **_session_of(response)},
            stream=_EventStream(events, response),
            request=request,
        )

    async def _events(
        self, response: httpx2.Response, message: JSONRPCRequest | None
    ) -> AsyncIterator[bytes]:
        answering = None if message is None else message.id
        try:
            async for event in httpx2.EventSource(response, max_event_size=MAX_BODY):
                if event.event != "message" or not event.data:
                    yield sse_format.any_event(event.data, name=event.event, id=event.id, retry=event.retry)
                    continue
                for found in self._messages.heard(event.data, answering=answering):
                    if self._one_way and len(event.data) > _LARGE:
                        await self._inject(found)
                        continue
                    yield sse_format.any_event(_encoded(found), id=event.id, retry=event.retry)
        except httpx2.SSEError as error:
            if message is None:
                raise
            broken = self._messages.broken(message.id, f"the server's answer can't be read: {error}")
            yield sse_format.any_event(_encoded(broken))


class _EventStream(httpx2.AsyncByteStream):
    """Events that are made of those of a response, which ends with them."""

    def __init__(self, events: AsyncIterator[bytes], response: httpx2.Response) -> None:
        self._events = events
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for event in self._events:
            yield event

    async def aclose(self) -> None:
        await self._response.aclose()


def _leads_away(response: httpx2.Response) -> bool:
    """Is it a redirect that is not followed, because of another method or another server?"""
    sent, following = response.request, response.next_request
    return (
        following is None
        or following.method != sent.method
        or (following.url.scheme, following.url.netloc) != (sent.url.scheme, sent.url.netloc)
    )


def _message_in(request: httpx2.Request) -> JSONRPCMessage | None:
    if request.method != "POST":
        return None
    try:
        return jsonrpc_message_adapter.validate_json(request.content, by_name=False)
    except ValidationError:
        return None


def _instead(
    request: httpx2.Request,
    status: HTTPStatus,
    found: list[JSONRPCMessage] | None = None,
    original: httpx2.Response | None = None,
) -> httpx2.Response:
    """A response that says no more than these messages."""
    headers = _session_of(original) if original is not None else {}
    if not found:
        return httpx2.Response(status, headers=headers, request=request)
    if len(found) == 1:
        return httpx2.Response(
            status,
            headers={"content-type": _JSON, **headers},
            content=_encoded(found[0]).encode(),
            request=request,
        )
    body = b"".join(sse_format.any_event(_encoded(message)) for message in found)
    return httpx2.Response(
        status, headers={"content-type": _EVENTS, **headers}, content=body, request=request
    )


def _encoded(message: JSONRPCMessage) -> str:
    return json.dumps(message.model_dump(by_alias=True, exclude_unset=True))


def _answers(message: JSONRPCMessage) -> bool:
    return "method" not in type(message).model_fields


def _session_of(response: httpx2.Response) -> dict[str, str]:
    return {SESSION: response.headers[SESSION]} if SESSION in response.headers else {}


def _kind(response: httpx2.Response) -> str:
    return str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()


def _came_back() -> None:
    """The server refused the request unread, so the call of this task was not carried out."""
    if (exchange := EXCHANGE.get()) is not None:
        exchange.has_left = False
