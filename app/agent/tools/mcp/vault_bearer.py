"""Authorizes requests to a tool server with tokens out of vaults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from http import HTTPStatus
from typing import Final

import httpx2

from app.agent.tools.mcp.http_statuses import SESSION
from app.agent.tools.mcp.vault_access import TokenUnavailable, VaultCredentials

_NOTHING_SENT: Final = "the session's vaults have no credential for it"


class VaultBearer(httpx2.Auth):
    """Each request has the token that is valid at that moment; one that was refused is sent again with another token,
    if there is one: nobody has served it. `refuse` is told why the server can't be used, in words."""

    def __init__(self, credentials: VaultCredentials, refuse: Callable[[str], None]) -> None:
        self._credentials = credentials
        self._refuse = refuse

    async def async_auth_flow(
        self, request: httpx2.Request
    ) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        token = await self._token(request)
        response = yield _with_token(request, token)
        is_refused = bool(token) and response.status_code == HTTPStatus.UNAUTHORIZED
        if is_refused and (another := await self._token(request, refused=token)):
            response = yield _with_token(request, another)
        opens = SESSION not in request.headers
        if response.status_code == HTTPStatus.UNAUTHORIZED or (
            opens and response.status_code == HTTPStatus.FORBIDDEN
        ):
            why = "" if token else f"; {_NOTHING_SENT}"
            self._give_up(f"the server refused the authorization: HTTP {response.status_code}{why}")
        else:
            self._credentials.refusal = ""

    def _give_up(self, why: str) -> None:
        """The credentials know it before the caller of a tool does."""
        self._credentials.refusal = why
        self._refuse(why)

    async def _token(self, request: httpx2.Request, refused: str = "") -> str:
        """An error of the transport stands for whatever goes wrong: nothing was sent."""
        try:
            return await asyncio.to_thread(self._credentials.token, refused)
        except TokenUnavailable as error:
            self._give_up(str(error))
            raise httpx2.RequestError(str(error), request=request) from error
        except Exception as error:
            raise httpx2.RequestError("the vaults can't be read now", request=request) from error


def _with_token(request: httpx2.Request, token: str) -> httpx2.Request:
    if token:
        request.headers["Authorization"] = f"Bearer {token}"
    return request
