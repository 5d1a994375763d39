# Made of asynchronous/event_stream.py by `make client`: change that one.
"""Events in order, over as many connections as it takes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from .api_call import RetryClock, session_stream
from .client_errors import HttpFailure, UnavailableError
from .connection import Answer
from .http_transport import HttpTransport
from .sse_frames import frames
from .stream_events import GapEvent, StreamEvent, event_of

Begin = Callable[[], Answer]


class Reader(Iterator[StreamEvent]):
    """Events in order, each once, over as many connections as it takes.

    `begin` opens the stream while no event has come that a cursor could name. A reader of a `whole_run` ends with
    it. If the run `has_own_stream`, `begin` opens that one, again from its first event, also when it has ended.
    """

    def __init__(
        self,
        transport: HttpTransport,
        session_id: str,
        begin: Begin,
        after: int | None,
        *,
        whole_run: bool = False,
        has_own_stream: bool = False,
    ) -> None:
        self._transport = transport
        self._session_id = session_id
        self._begin = begin
        self._after = after
        self._whole_run = whole_run
        self._has_own_stream = has_own_stream
        self._response: Answer | None = None
        self._frames: Iterator[tuple[int | None, str]]
        """Of the response, if there is one."""
        self._from_beginning = True
        self._replay = False
        self._attempts = RetryClock()
        self._heard = time.monotonic()
        self.ended = False
        self.closed = False

    def connect(self) -> Answer:
        self._from_beginning = self._after is None or self._replay
        if self._from_beginning:
            self._response = self._begin()
        else:
            self._response = self._transport.send(session_stream(self._session_id, self._after))
        self._frames = frames(self._response)
        return self._response

    def close(self) -> None:
        self.closed = True
        if self._response is not None:
            self._response.close()

    def __next__(self) -> StreamEvent:
        while not self.closed:
            event = self._read()
            if event is None or self._is_old(event):
                continue
            if isinstance(event, GapEvent) and self._has_own_stream and not self._from_beginning:
                self._replay = True  # the session's stream might go past this run's end; its own can't
                self._drop()
                continue
            if event.id is not None:
                self._after = event.id
            if self._is_last(event):
                self.ended = True
                self.close()
            return event
        raise StopIteration

    def _read(self) -> StreamEvent | None:
        """None if the connection was lost and has to be opened again."""
        if self._response is None:
            self._pause()
            self.connect()
        try:
            number, text = next(self._frames)
        except (StopIteration, HttpFailure):
            self._drop()
            return None
        self._heard = time.monotonic()
        self._attempts = RetryClock()
        return event_of(_object(text), number)

    def _drop(self) -> None:
        if self._response is not None:
            self._response.close()
        self._response = None

    def _pause(self) -> None:
        if time.monotonic() - self._heard > self._transport.retry_seconds:
            raise UnavailableError(f"the stream of session {self._session_id} breaks off again and again")
        self._attempts.number += 1
        time.sleep(self._attempts.pause())

    def _is_old(self, event: StreamEvent) -> bool:
        return event.id is not None and self._after is not None and event.id <= self._after

    def _is_last(self, event: StreamEvent) -> bool:
        if event.session_id != self._session_id:
            return False
        return event.type == "session_exited" or (self._whole_run and event.type == "stream_stopped")


def _object(text: str) -> dict[str, Any]:
    """An empty one for what a server of another kind, or of a later version, may say instead."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
