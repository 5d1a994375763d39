"""The meaning that the status of a tool server's HTTP answer has for the request."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final

import httpx2
from mcp_types import JSONRPCError, jsonrpc_message_adapter
from pydantic import ValidationError

from app.agent.retry_after import retry_after

MAX_WORDS: Final = 300  # characters of an error's body
SESSION: Final = "mcp-session-id"

_MAX_ERROR: Final = 1 << 20  # bytes of its body
_FORGOTTEN: Final = re.compile(r"session|not initialized", re.IGNORECASE)


def wanted_pause(response: httpx2.Response, most: float) -> float | None:
    """For how many seconds a server that did not take the request wants to be left alone, if that is bearable."""
    if response.status_code not in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        return None
    seconds = retry_after(response.headers, _now_there(response))
    return seconds if seconds is not None and seconds <= most else None


def _now_there(response: httpx2.Response) -> float:
    """By the server's own clock, which a date of its is of; without one such a date is far away."""
    try:
        return parsedate_to_datetime(response.headers.get("date", "")).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def was_not_served(response: httpx2.Response) -> bool:
    """Does the status say that the request was not carried out?"""
    return (
        response.is_client_error
        or response.is_redirect
        or (response.status_code == HTTPStatus.SERVICE_UNAVAILABLE and "retry-after" in response.headers)
    )


def has_forgotten(request: httpx2.Request, response: httpx2.Response, words: str) -> bool:
    """404 is what the specification says; servers say other things too."""
    if SESSION not in request.headers and "session" not in str(request.url.query, "ascii", "replace").lower():
        return False
    match response.status_code:
        case HTTPStatus.NOT_FOUND | HTTPStatus.GONE:
            return True
        case HTTPStatus.BAD_REQUEST | HTTPStatus.CONFLICT | HTTPStatus.UNPROCESSABLE_ENTITY:
            return _FORGOTTEN.search(words) is not None
        case _:
            return False


async def error_words(response: httpx2.Response) -> str:
    """The status, and what the body says of it."""
    try:
        body = await read(response, _MAX_ERROR) or b""
    except httpx2.HTTPError:
        body = b""
    text = body.decode("utf-8", "replace").strip()
    try:
        error = jsonrpc_message_adapter.validate_json(text, by_name=False)
        text = error.error.message if isinstance(error, JSONRPCError) else text
    except ValidationError:
        pass
    status = f"HTTP {response.status_code} {response.reason_phrase}".rstrip()
    if seconds := response.headers.get("retry-after"):
        status += f", Retry-After: {seconds[:40]}"
    if where := response.headers.get("location"):
        status += f", to {where[:MAX_WORDS]}"
    return f"{status}: {text[:MAX_WORDS]}" if text else status


async def read(response: httpx2.Response, limit: int) -> bytes | None:
    """None if it is larger."""
    body = bytearray()
    try:
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > limit:
                return None
    finally:
        await response.aclose()
    return bytes(body)
