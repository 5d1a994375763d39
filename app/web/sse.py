"""Server-sent events: a reader's frames as a streaming response.

The generator only reads. Letting go of the reader, and of a run whose client has left, happens in
`call_on_close`, because a generator that was never started never runs its `finally`.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from typing import Final

from flask import Response, request

from app.errors import ServerFull
from app.runtime.event_reader import EventReader
from app.runtime.hangups import HangupWatcher
from app.runtime.stream_places import Place, StreamPlaces
from app.runtime.stream_writer import StreamWriter

HEARTBEAT_SECONDS: Final = 15.0
RETRY_MILLISECONDS: Final = 2000
PING: Final = b": ping\n\n"

_HEADERS: Final = {
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",  # nginx: pass every byte on at once
    "Connection": "keep-alive",
}


class Streams:
    """Makes streaming responses. Shared by all request threads."""

    def __init__(self, hangups: HangupWatcher, places: StreamPlaces, writer: StreamWriter) -> None:
        self._hangups = hangups
        self._places = places
        self._writer = writer

    def respond(self, reader: EventReader, *, on_hangup: Callable[[], None] | None = None) -> Response:
        """`on_hangup` is called at least once if the client leaves before the reader's end. It comes with a run's
        own stream, which has been admitted; any other one is refused when all places are taken: ServerFull."""
        place = self._place(reader, admitted=on_hangup is not None)
        connection = request.environ.get("gunicorn.socket")
        frames = self._frames(reader, connection if _is_chunked(connection) else None)
        response = Response(frames, content_type="text/event-stream", headers=_HEADERS)
        descriptor = connection.fileno() if connection is not None else None

        def hung_up() -> None:
            if on_hangup is not None and not reader.at_end:
                on_hangup()
            reader.interrupt()

        def closed() -> None:
            if descriptor is not None:
                self._hangups.forget(descriptor)
            hung_up()
            reader.close()
            place.give_back()

        response.call_on_close(closed)
        if descriptor is not None:
            self._hangups.watch(descriptor, hung_up)
        return response

    def _place(self, reader: EventReader, *, admitted: bool) -> Place:
        try:
            return self._places.take(admitted=admitted)
        except ServerFull:
            reader.close()
            raise

    def _frames(self, reader: EventReader, connection: socket.socket | None) -> Iterator[bytes]:
        """Under gunicorn the shared writer takes the socket over as soon as the reader has caught up, which
        spares a hand-over between threads for each event; everywhere else this is a plain generator."""
        yield b"retry: %d\n\n" % RETRY_MILLISECONDS
        carried = connection is not None and not reader.follows_another_process
        while (frames := reader.next(0.0 if carried else HEARTBEAT_SECONDS)) is not None:
            if frames:
                yield frames
            elif not carried or connection is None:
                yield PING
            elif not self._writer.carry(connection, reader):
                return


def _is_chunked(connection: socket.socket | None) -> bool:
    """Does gunicorn send this response in chunks, on a socket whose bytes are the client's bytes?"""
    if connection is None or isinstance(connection, ssl.SSLSocket):
        return False
    return request.environ.get("SERVER_PROTOCOL") == "HTTP/1.1" and request.method != "HEAD"


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
