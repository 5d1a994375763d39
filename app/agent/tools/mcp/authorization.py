"""How requests to a tool server are authorized, and what a client needs to know to get a token for it."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Callable
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import httpx2
import orjson

from app.agent.tools.configured_http import HttpAnswer, RequestFailed, send
from app.agent.tools.mcp.credentials import Credentials
from app.agent.tools.mcp.server_address import ServerAddress
from app.agent.tools.run_facts import NeverCancelled
from app.agent.tools.url_template import is_at
from app.conversation.blocks import is_deep

log = logging.getLogger(__name__)

META_PREFIXES: Final = ("cagent", "docker-agent")
"""Clients from before and after mid-March 2026 look for what they need under one name or the other."""

SECONDS: Final = 10.0
MAX_METADATA: Final = 1 << 20

_NUL: Final = b"\\u0000"
_RESOURCE: Final = re.compile(r'resource_metadata="([^"]+)"')


class Bearer(httpx2.Auth):
    """Sends the token; when it has run out, gets another one and sends the request again, which nobody has served.

    `refuse` is called with the challenge of an answer that remains: somebody has to get a token.
    """

    def __init__(
        self, address: ServerAddress, credentials: Credentials, refuse: Callable[[str], None]
    ) -> None:
        self._address = address
        self._credentials = credentials
        self._refuse = refuse
        self._renewing = asyncio.Lock()  # several requests may find out at the same time

    async def async_auth_flow(
        self, request: httpx2.Request
    ) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        token = self._credentials.access_token
        response = yield _with_token(request, token)
        if _is_refused(response) and await self._renew(token):
            response = yield _with_token(request, self._credentials.access_token)
        if _is_refused(response) and "WWW-Authenticate" in response.headers:
            self._refuse(response.headers["WWW-Authenticate"])

    async def _renew(self, refused: str) -> bool:
        """Is there another token than the one that was refused?"""
        async with self._renewing:
            if self._credentials.access_token != refused:
                return True
            return await renew(self._address, self._credentials)


async def renew(address: ServerAddress, credentials: Credentials) -> bool:
    """Gets a token for the refresh token, which counts once (RFC 6749, 6). False if there is no way."""
    if not credentials.refresh_token or urlsplit(credentials.token_endpoint).scheme not in ("http", "https"):
        return False
    form = {"grant_type": "refresh_token", "refresh_token": credentials.refresh_token}
    if credentials.client_id:
        form["client_id"] = credentials.client_id
    try:
        answer = await _send(address, "POST", credentials.token_endpoint, urlencode(form).encode())
    except RequestFailed as failure:
        log.warning("a token for a tool server could not be renewed: %s", failure)
        return False
    if credentials.renewed(_json_object(answer)):
        return True
    log.info("a token for a tool server was not renewed: status %s", answer.status)
    credentials.refresh_token = ""
    return False


async def how_to_authorize(address: ServerAddress, challenge: str) -> dict[str, Any]:
    """The facts that a client needs for OAuth: the metadata of the server and of the authority that gives its tokens
    (RFC 9728, RFC 8414)."""
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(address.url))
    named = _RESOURCE.search(challenge)
    resource = await _fetched(
        address, named[1] if named else f"{origin}/.well-known/oauth-protected-resource"
    )
    issuers = resource.get("authorization_servers")
    issuer = str(issuers[0]) if isinstance(issuers, list) and issuers else origin
    return {
        **{f"{prefix}/type": "oauth_flow" for prefix in META_PREFIXES},
        **{f"{prefix}/server_url": address.url for prefix in META_PREFIXES},
        "auth_server": issuer,
        "auth_server_metadata": await _fetched(address, _metadata_url(issuer)),
        "resource_metadata": resource,
    }


def _metadata_url(issuer: str) -> str:
    try:
        found = urlsplit(issuer)
    except ValueError:
        return ""
    path = found.path.rstrip("/")
    return f"{found.scheme}://{found.netloc}/.well-known/oauth-authorization-server{path}"


async def _fetched(address: ServerAddress, url: str) -> dict[str, Any]:
    """A JSON object; an empty one if there is none."""
    try:
        return _json_object(await _send(address, "GET", url))
    except RequestFailed as failure:
        log.info("the metadata of a tool server could not be read: %s", failure)
        return {}


async def _send(address: ServerAddress, method: str, url: str, form: bytes | None = None) -> HttpAnswer:
    """One request to a place that the tool server named: without the tool server's headers, and at public addresses
    only, unless it is the tool server itself or one of the origins that its agent file allows. Raises RequestFailed."""
    return await asyncio.to_thread(
        send,
        method,
        url,
        headers={"Content-Type": "application/x-www-form-urlencoded"} if form is not None else {},
        body=form,
        cancellation=NeverCancelled(),
        limit=MAX_METADATA,
        seconds=SECONDS,
        public_only=not is_at(url, (address.url, *address.origins)),
    )


def _json_object(answer: HttpAnswer) -> dict[str, Any]:
    """An empty one for any other answer, and for what can't be stored and told on."""
    if answer.status != HTTPStatus.OK or answer.is_cut or _NUL in answer.body:
        return {}
    try:
        value = orjson.loads(answer.body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) and not is_deep(value) else {}


def _with_token(request: httpx2.Request, token: str) -> httpx2.Request:
    if token:
        request.headers["Authorization"] = f"Bearer {token}"
    return request


def _is_refused(response: httpx2.Response) -> bool:
    return response.status_code == httpx2.codes.UNAUTHORIZED
