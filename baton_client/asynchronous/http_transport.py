"""Requests to one server, repeated when they failed on their way."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from ..api_call import GARBLED_ATTEMPTS, TEMPORARY, ApiCall, RetryClock
from ..client_errors import BatonError, HttpFailure, TooManyError, UnavailableError, error_of
from .connection import AsyncAnswer, AsyncConnection


class AsyncHttpTransport:
    """Belongs to one event loop."""

    def __init__(
        self,
        url: str,
        token: str | None,
        *,
        connect_seconds: float,
        idle_seconds: float,
        retry_seconds: float,
    ) -> None:
        self.url = url.rstrip("/")
        self.retry_seconds = retry_seconds
        self._idle_seconds = idle_seconds
        self._connection = AsyncConnection(token, connect_seconds=connect_seconds)

    async def close(self) -> None:
        await self._connection.close()

    async def send(self, call: ApiCall, attempts: RetryClock | None = None) -> AsyncAnswer:
        """The answer, if it is none from 300 on; else a BatonError. A request that failed on its way, or found no
        room, is tried again for `retry_seconds`, and not before the server's `Retry-After` if there is too much of
        something. `attempts` tells the caller afterwards how often it was sent."""
        attempts = attempts or RetryClock()
        deadline = time.monotonic() + (self.retry_seconds if call.repeatable else 0.0)
        while True:
            attempts.number += 1
            try:
                return await self._send_once(call, is_last=attempts.number >= GARBLED_ATTEMPTS)
            except TooManyError as error:
                pause = max(attempts.pause(), error.retry_after)
                if time.monotonic() + pause > deadline:
                    raise
            except UnavailableError as error:
                pause = attempts.pause()
                if error.code not in TEMPORARY or time.monotonic() + pause > deadline:
                    raise
            await asyncio.sleep(pause)

    async def _send_once(self, call: ApiCall, *, is_last: bool) -> AsyncAnswer:
        """`is_last`: an answer that does not look like Baton's is one all the same, of some other server."""
        try:
            answer = await self._connection.request(
                call.method,
                self.url + call.path,
                query=call.given_query,
                body=call.body,
                headers=call.all_headers,
                stream=call.stream,
                idle_seconds=self._idle_seconds + call.patience,
            )
            if not is_last and not call.bodiless and not await _is_whole(answer, call):
                await answer.close()
                raise UnavailableError(f"{self.url} does not answer as Baton does")
            if answer.status < 300:
                return answer
            raise error_of(answer.status, answer.reason, answer.url, answer.headers, await answer.read())
        except HttpFailure as failure:
            raise UnavailableError(f"{self.url} can't be reached: {failure}") from failure


async def json_of(answer: AsyncAnswer) -> Any:
    try:
        return json.loads(await answer.read())
    except (ValueError, RecursionError, HttpFailure):
        raise BatonError(f"{answer.url} did not answer with JSON", status=answer.status) from None


async def _is_whole(answer: AsyncAnswer, call: ApiCall) -> bool:
    """A head that was cut passes for one that has fewer lines, and what follows it is lost."""
    if call.stream and answer.status == 200:
        return answer.headers.get("Content-Type", "").startswith("text/event-stream") and (
            call.method == "GET" or "X-Run-ID" in answer.headers
        )
    try:
        json.loads(await answer.read())
    except (ValueError, RecursionError, HttpFailure):
        return False
    return True
