"""One server, as a script sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal, Self

from ..api_call import LIVE, ApiCall, Message, messages_of, new_key, path, session_stream
from ..client_errors import ConflictError
from ..stream_events import StreamEvent
from .api_calls import AsyncCalls
from .connection import AsyncAnswer
from .event_stream import AsyncReader
from .http_transport import AsyncHttpTransport
from .run_stream import AsyncRunStream


class AsyncBatonClient(AsyncCalls):
    """One server. Times are in seconds: `connect_seconds` to get a connection, `idle_seconds` between two bytes of
    an answer, `retry_seconds` for how long a call that fails on its way or finds no room, or a dropped stream, is
    tried again."""

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        connect_seconds: float = 5.0,
        idle_seconds: float = 40.0,
        retry_seconds: float = 60.0,
    ) -> None:
        transport = AsyncHttpTransport(
            url,
            token,
            connect_seconds=connect_seconds,
            idle_seconds=idle_seconds,
            retry_seconds=retry_seconds,
        )
        super().__init__(transport)
        self.url = transport.url

    async def close(self) -> None:
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def run(
        self,
        session_id: str,
        message: Message,
        *,
        agent: str = "assistant",
        when_busy: Literal["reject", "wait", "interrupt"] = "reject",
        wait_seconds: float = 60.0,
        if_last_position: int | None = None,
        idempotency_key: str | None = None,
    ) -> AsyncRunStream:
        """Starts a run and returns its events. `agent` is `FILE` or `FILE/NAME`. SessionBusy if somebody else has
        the session, and goes on having it for `wait_seconds` with `when_busy`; BudgetReached. With
        `if_last_position` the run is refused (409 or 412) if there are messages after it.

        The run goes on without its reader, as it must if a reader is to come back: leave it by `with`, or by
        `Run.cancel`, or on purpose."""
        start = ApiCall(
            "POST",
            path("sessions", session_id, "agent", *agent.split("/", 1)),
            messages_of(message),
            {"when_busy": when_busy, "wait_timeout": f"{wait_seconds:g}", "on_disconnect": "continue"},
            key=idempotency_key or new_key(),
            headers={} if if_last_position is None else {"If-Match": str(if_last_position)},
            stream=True,
            patience=0.0 if when_busy == "reject" else wait_seconds,
        )
        return await AsyncRunStream.open(
            self, self._transport, session_id, lambda: self._transport.send(start)
        )

    async def attach(self, run_id: str) -> AsyncRunStream:
        """The events of a run that somebody else has started, from its beginning. Conflict if it has ended."""
        begun = await self.get_run(run_id)
        session_id = begun["session_id"]

        async def open_at_beginning() -> AsyncAnswer:
            answer = await self._open(session_id, None)
            try:
                run = await self.get_run(run_id)
            except BaseException:
                await answer.close()
                raise
            if run["status"] not in LIVE:  # the reader may have come too late, and would see another run
                await answer.close()
                raise ConflictError("the run has ended", body={"code": "not_running"})
            return answer

        return await AsyncRunStream.open(self, self._transport, session_id, open_at_beginning, run_id=run_id)

    def events(self, session_id: str, after: int | None = None) -> AsyncIterator[StreamEvent]:
        """A session's events, of this run and all later ones, until the session is deleted. `after` is the `id`
        of the last event that you have seen; None: from the beginning of the run at work, or what comes next."""
        return AsyncReader(self._transport, session_id, lambda: self._open(session_id, after), after)

    async def _open(self, session_id: str, after: int | None) -> AsyncAnswer:
        return await self._transport.send(session_stream(session_id, after))
