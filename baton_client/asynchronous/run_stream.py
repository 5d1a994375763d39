"""A run as its caller has it in hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Literal, Self

from ..api_call import Message
from ..api_types import QueuedMessage, Run
from ..client_errors import BatonError, ConflictError, NotFoundError, RunFailedError
from ..stream_events import ErrorEvent, StreamEvent, TextEvent
from .api_calls import AsyncCalls
from .event_stream import AsyncBegin, AsyncReader
from .http_transport import AsyncHttpTransport


class AsyncRunStream:
    """A run that was started, as an iterator of its events, from the first to the last.

    As a context manager it stops the run if it is left before its end. `id` is the run's.
    """

    def __init__(self, calls: AsyncCalls, reader: AsyncReader, session_id: str, run_id: str) -> None:
        self._calls = calls
        self._reader = reader
        self.session_id = session_id
        self.id = run_id

    @classmethod
    async def open(
        cls,
        calls: AsyncCalls,
        transport: AsyncHttpTransport,
        session_id: str,
        begin: AsyncBegin,
        *,
        run_id: str = "",
    ) -> Self:
        """`run_id` for a run that somebody else has started: the stream that `begin` opens is its session's then."""
        reader = AsyncReader(transport, session_id, begin, None, whole_run=True, has_own_stream=not run_id)
        answer = await reader.connect()
        run_id = run_id or str(answer.headers.get("X-Run-ID", ""))
        if not run_id:
            await reader.close()
            raise BatonError(f"{transport.url} does not answer as Baton does", status=200)
        return cls(calls, reader, session_id, run_id)

    @property
    def ended(self) -> bool:
        """Has the last event been read?"""
        return self._reader.ended

    def __aiter__(self) -> AsyncIterator[StreamEvent]:
        return self._reader

    async def text(self) -> str:
        """Reads to the end; returns what the agent said. RunFailed if it ended with an error."""
        pieces, failure = [], None
        async for event in self:
            if isinstance(event, TextEvent):
                pieces.append(event.text)
            elif isinstance(event, ErrorEvent):
                failure = RunFailedError(event.text, body={"code": event.code})
        if failure is not None:
            raise failure
        return "".join(pieces)

    async def approve(
        self,
        call_id: str | None = None,
        *,
        remember: Literal["", "tool", "session"] = "",
        arguments: Mapping[str, Any] | None = None,
    ) -> None:
        await self._calls.approve(self.session_id, call_id, remember=remember, arguments=arguments)

    async def reject(self, call_id: str | None = None, *, reason: str = "") -> None:
        await self._calls.reject(self.session_id, call_id, reason=reason)

    async def elicit(
        self,
        content: Mapping[str, Any] | None = None,
        *,
        action: Literal["accept", "decline", "cancel"] = "accept",
    ) -> None:
        await self._calls.elicit(self.session_id, content, action=action)

    async def steer(self, message: Message) -> list[QueuedMessage]:
        return await self._calls.steer(self.session_id, message)

    async def cancel(self, *, wait_seconds: float = 10.0, at_safe_point: bool = False) -> Run:
        """Stops this run, and no other one of the session. Returns the run; the events go on to their end."""
        return await self._calls.cancel(
            self.session_id, run_id=self.id, wait_seconds=wait_seconds, at_safe_point=at_safe_point
        )

    async def detach(self) -> None:
        """Stops reading. The run goes on by itself, also when `with` is left."""
        await self._reader.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._reader.closed:
            return
        await self._reader.close()
        try:
            await self.cancel()
        except (ConflictError, NotFoundError):
            pass  # it has ended by itself, or its session is deleted
        except BatonError:
            if error is None:
                raise
