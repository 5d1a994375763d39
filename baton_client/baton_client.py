# Made of asynchronous/baton_client.py by `make client`: change that one.
"""One server, as a script sees it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Self

from .api_call import LIVE, ApiCall, Message, messages_of, new_key, path, session_stream
from .api_calls import Calls
from .client_errors import ConflictError
from .connection import Answer
from .event_stream import Reader
from .http_transport import HttpTransport
from .run_stream import RunStream
from .stream_events import StreamEvent


class BatonClient(Calls):
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
        transport = HttpTransport(
            url,
            token,
            connect_seconds=connect_seconds,
            idle_seconds=idle_seconds,
            retry_seconds=retry_seconds,
        )
        super().__init__(transport)
        self.url = transport.url

    def close(self) -> None:
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(
        self,
        session_id: str,
        message: Message,
        *,
        agent: str = "assistant",
        when_busy: Literal["reject", "wait", "interrupt"] = "reject",
        wait_seconds: float = 60.0,
        if_last_position: int | None = None,
        idempotency_key: str | None = None,
    ) -> RunStream:
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
        return RunStream.open(self, self._transport, session_id, lambda: self._transport.send(start))

    def attach(self, run_id: str) -> RunStream:
        """The events of a run that somebody else has started, from its beginning. Conflict if it has ended."""
        begun = self.get_run(run_id)
        session_id = begun["session_id"]

        def open_at_beginning() -> Answer:
            answer = self._open(session_id, None)
            try:
                run = self.get_run(run_id)
            except BaseException:
                answer.close()
                raise
            if run["status"] not in LIVE:  # the reader may have come too late, and would see another run
                answer.close()
                raise ConflictError("the run has ended", body={"code": "not_running"})
            return answer

        return RunStream.open(self, self._transport, session_id, open_at_beginning, run_id=run_id)

    def events(self, session_id: str, after: int | None = None) -> Iterator[StreamEvent]:
        """A session's events, of this run and all later ones, until the session is deleted. `after` is the `id`
        of the last event that you have seen; None: from the beginning of the run at work, or what comes next."""
        return Reader(self._transport, session_id, lambda: self._open(session_id, after), after)

    def _open(self, session_id: str, after: int | None) -> Answer:
        return self._transport.send(session_stream(session_id, after))
