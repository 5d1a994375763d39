# Made of asynchronous/run_stream.py by `make client`: change that one.
"""A run as its caller has it in hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Literal, Self

from .api_call import Message
from .api_calls import Calls
from .api_types import QueuedMessage, Run
from .client_errors import BatonError, ConflictError, NotFoundError, RunFailedError
from .event_stream import Begin, Reader
from .http_transport import HttpTransport
from .stream_events import ErrorEvent, StreamEvent, TextEvent


class RunStream:
    """A run that was started, as an iterator of its events, from the first to the last.

    As a context manager it stops the run if it is left before its end. `id` is the run's.
    """

    def __init__(self, calls: Calls, reader: Reader, session_id: str, run_id: str) -> None:
        self._calls = calls
        self._reader = reader
        self.session_id = session_id
        self.id = run_id

    @classmethod
    def open(
        cls,
        calls: Calls,
        transport: HttpTransport,
        session_id: str,
        begin: Begin,
        *,
        run_id: str = "",
    ) -> Self:
        """`run_id` for a run that somebody else has started: the stream that `begin` opens is its session's then."""
        reader = Reader(transport, session_id, begin, None, whole_run=True, has_own_stream=not run_id)
        answer = reader.connect()
        run_id = run_id or str(answer.headers.get("X-Run-ID", ""))
        if not run_id:
            reader.close()
            raise BatonError(f"{transport.url} does not answer as Baton does", status=200)
        return cls(calls, reader, session_id, run_id)

    @property
    def ended(self) -> bool:
        """Has the last event been read?"""
        return self._reader.ended

    def __iter__(self) -> Iterator[StreamEvent]:
        return self._reader

    def text(self) -> str:
        """Reads to the end; returns what the agent said. RunFailed if it ended with an error."""
        pieces, failure = [], None
        for event in self:
            if isinstance(event, TextEvent):
                pieces.append(event.text)
            elif isinstance(event, ErrorEvent):
                failure = RunFailedError(event.text, body={"code": event.code})
        if failure is not None:
            raise failure
        return "".join(pieces)

    def approve(
        self,
        call_id: str | None = None,
        *,
        remember: Literal["", "tool", "session"] = "",
        arguments: Mapping[str, Any] | None = None,
    ) -> None:
        self._calls.approve(self.session_id, call_id, remember=remember, arguments=arguments)

    def reject(self, call_id: str | None = None, *, reason: str = "") -> None:
        self._calls.reject(self.session_id, call_id, reason=reason)

    def elicit(
        self,
        content: Mapping[str, Any] | None = None,
        *,
        action: Literal["accept", "decline", "cancel"] = "accept",
    ) -> None:
        self._calls.elicit(self.session_id, content, action=action)

    def steer(self, message: Message) -> list[QueuedMessage]:
        return self._calls.steer(self.session_id, message)

    def cancel(self, *, wait_seconds: float = 10.0, at_safe_point: bool = False) -> Run:
        """Stops this run, and no other one of the session. Returns the run; the events go on to their end."""
        return self._calls.cancel(
            self.session_id, run_id=self.id, wait_seconds=wait_seconds, at_safe_point=at_safe_point
        )

    def detach(self) -> None:
        """Stops reading. The run goes on by itself, also when `with` is left."""
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._reader.closed:
            return
        self._reader.close()
        try:
            self.cancel()
        except (ConflictError, NotFoundError):
            pass  # it has ended by itself, or its session is deleted
        except BatonError:
            if error is None:
                raise
