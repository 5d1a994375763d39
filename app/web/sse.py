"""Server-sent events: a reader's frames as a streaming response.

The generator only reads. Letting go of the reader, and of a run whose client has left, happens in
`call_on_close`, because a generator that was never started never runs its `finally`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from typing import Final

from flask import Response, request

from app.runtime.event_reader import EventReader
from app.runtime.hangups import HangupWatcher

HEARTBEAT_SECONDS: Final = 15.0
RETRY_MILLISECONDS: Final = 2000

_HEADERS: Final = {
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",  # nginx: pass every byte on at once
    "Connection": "keep-alive",
}


def stream(
    reader: EventReader, hangups: HangupWatcher, *, on_hangup: Callable[[], None] | None = None
) -> Response:
    """`on_hangup` is called at least once if the client leaves before the reader's end."""
    response = Response(_frames(reader), content_type="text/event-stream", headers=_HEADERS)
    connection = request.environ.get("gunicorn.socket")
    descriptor = connection.fileno() if connection is not None else None

    def hung_up() -> None:
        if on_hangup is not None and not reader.at_end:
            on_hangup()
        reader.interrupt()

    def closed() -> None:
        if descriptor is not None:
            hangups.forget(descriptor)
        hung_up()
        reader.close()

    response.call_on_close(closed)
    if descriptor is not None:
        hangups.watch(descriptor, hung_up)
    return response


@contextmanager
def client_left(hangups: HangupWatcher) -> Iterator[Event]:
    """An event that is set when the client of this request hangs up, while inside."""
    left = Event()
    connection = request.environ.get("gunicorn.socket")
    if connection is None:
        yield left
        return
    hangups.watch(connection.fileno(), left.set)
    try:
        yield left
    finally:
        hangups.forget(connection.fileno())


def _frames(reader: EventReader) -> Iterator[bytes]:
    yield b"retry: %d\n\n" % RETRY_MILLISECONDS
    while (frames := reader.next(HEARTBEAT_SECONDS)) is not None:
        yield frames or b": ping\n\n"
