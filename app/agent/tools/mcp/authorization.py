"""How requests to a tool server are authorized, and what a client needs to know to get a token for it."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2

from app.agent.tools.mcp.credentials import Credentials

log = logging.getLogger(__name__)

SECONDS: Final = 10.0

_RESOURCE: Final = re.compile(r'resource_metadata="([^"]+)"')


class Bearer(httpx2.Auth):
    """Sends the token; when it has run out, gets another one and sends the request again, which nobody has served.

    `refuse` is called with the challenge of an answer that remains: somebody has to get a token.
    """

    def __init__(self, credentials: Credentials, refuse: Callable[[str], None]) -> None:
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
            return await renew(self._credentials)


async def renew(credentials: Credentials) -> bool:
    """Gets a token for the refresh token, which counts once (RFC 6749, 6). False if there is no way."""
    if not credentials.refresh_token or urlsplit(credentials.token_endpoint).scheme not in ("http", "https"):
        return False
    form = {"grant_type": "refresh_token", "refresh_token": credentials.refresh_token}
    if credentials.client_id:
        form["client_id"] = credentials.client_id
    try:
        async with httpx2.AsyncClient(timeout=SECONDS, trust_env=False) as client:
            response = await client.post(credentials.token_endpoint, data=form)
        content = response.json() if response.status_code == httpx2.codes.OK else None
    except (httpx2.HTTPError, ValueError):
        log.warning("a token for a tool server could not be renewed", exc_info=True)
        return False
    if isinstance(content, dict) and credentials.renewed(content):
        return True
    log.info("a token for a tool server was not renewed: status %s", response.status_code)
    credentials.refresh_token = ""
    return False


async def how_to_authorize(url: str, challenge: str) -> dict[str, Any]:
    """What a client needs for OAuth: the metadata of the server and of who gives its tokens (RFC 9728, RFC 8414)."""
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(url))
    named = _RESOURCE.search(challenge)
    async with httpx2.AsyncClient(timeout=SECONDS, trust_env=False) as client:
        resource = await _fetched(
            client, named[1] if named else f"{origin}/.well-known/oauth-protected-resource"
        )
        issuers = resource.get("authorization_servers")
        issuer = str(issuers[0]) if isinstance(issuers, list) and issuers else origin
        found = urlsplit(issuer)
        path = found.path.rstrip("/")
        metadata = await _fetched(
            client, f"{found.scheme}://{found.netloc}/.well-known/oauth-authorization-server{path}"
        )
    return {
        "cagent/type": "oauth_flow",
        "cagent/server_url": url,
        "auth_server": issuer,
        "auth_server_metadata": metadata,
        "resource_metadata": resource,
    }


async def _fetched(client: httpx2.AsyncClient, url: str) -> dict[str, Any]:
    """A JSON object; an empty one if there is none."""
    try:
        response = await client.get(url)
        value = response.json() if response.status_code == httpx2.codes.OK else None
    except (httpx2.HTTPError, ValueError):
        value = None
    return value if isinstance(value, dict) else {}


def _with_token(request: httpx2.Request, token: str) -> httpx2.Request:
    if token:
        request.headers["Authorization"] = f"Bearer {token}"
    return request


def _is_refused(response: httpx2.Response) -> bool:
    return response.status_code == httpx2.codes.UNAUTHORIZED
