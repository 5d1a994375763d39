"""Requests by `httpx2`, and what they bring."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx2

from ..client_errors import HttpFailure, in_short


class AsyncAnswer:
    """What a server answers. HttpFailure if it breaks off."""

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response
        self.status = response.status_code
        self.reason = response.reason_phrase
        self.url = str(response.url)
        self.headers: Mapping[str, str] = response.headers

    async def read(self) -> bytes:
        try:
            return await self._response.aread()
        except (httpx2.HTTPError, httpx2.StreamError, OSError) as error:
            raise HttpFailure(in_short(error)) from error

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body, as it comes."""
        try:
            async for piece in self._response.aiter_raw():
                yield piece
        except (httpx2.HTTPError, httpx2.StreamError, OSError) as error:
            raise HttpFailure(in_short(error)) from error

    async def close(self) -> None:
        await self._response.aclose()


class AsyncConnection:
    """Belongs to one event loop."""

    def __init__(self, token: str | None, *, connect_seconds: float) -> None:
        self._connect_seconds = connect_seconds
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx2.AsyncClient(follow_redirects=False)

    async def close(self) -> None:
        await self._http.aclose()

    async def request(
        self,
        method: str,
        url: str,
        *,
        query: Mapping[str, Any],
        body: Any,
        headers: Mapping[str, str],
        stream: bool,
        idle_seconds: float,
    ) -> AsyncAnswer:
        try:
            request = self._http.build_request(
                method,
                url,
                params=query,
                json=body,
                headers={**self._headers, **headers},
                timeout=httpx2.Timeout(idle_seconds, connect=self._connect_seconds),
            )
            response = await self._http.send(request, stream=stream)
        except (httpx2.HTTPError, OSError) as error:
            raise HttpFailure(in_short(error)) from error
        return AsyncAnswer(response)
