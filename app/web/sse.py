"""Server-sent events: a reader's frames as a streaming response.

The generator only reads. Letting go of the reader, and of a run whose client has left, happens in
`call_on_close`, because a generator that was never started never runs its `finally`.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from threading import Event
from typing import Final

from flask import Response, g, request

from app.runtime.streams.disconnects import DisconnectWatcher
from app.runtime.streams.stream_slots import Slots
from app.runtime.streams.stream_writer import StreamWriter
from app.web.access import own_name
from app.web.stream_body import FrameSource, StreamBody

_HEADERS: Final = {
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",  # nginx: pass every byte on at once
    "Connection": "keep-alive",
}


class Streams:
    """Makes streaming responses. Shared by all request threads."""

    def __init__(self, disconnects: DisconnectWatcher, slots: Slots, writer: StreamWriter) -> None:
        self._disconnects = disconnects
        self._slots = slots
        self._writer = writer

    def respond(
        self,
        reader: FrameSource,
        *,
        on_hangup: Callable[[], None] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """`on_hangup` is called at least once if the client leaves before the reader's end, and not because the
        reader fails, or if the response can't be made. It comes with a run's own stream, which has been admitted; any
        other one is refused when all places are taken (ServerFull) or the name's share is (ShareTaken). Whatever is
        raised, the reader is closed."""

        def hung_up() -> None:
            if on_hangup is not None and not reader.at_end:  # a reader that gave up is at its end too
                on_hangup()
            reader.interrupt()

        opened = ExitStack()  # closed by the response's end, or below if there is no response
        try:
            opened.callback(reader.close)
            opened.callback(hung_up)
            opened.callback(self._slots.take(own_name(), admitted=on_hangup is not None).give_back)
            connection = request.environ.get("gunicorn.socket")
            if connection is not None:
                opened.enter_context(self._disconnects.watching(connection, hung_up))
            body = StreamBody(
                self._writer, reader, connection if _is_chunked(connection) else None, opened.close
            )
            response = Response(
                body.frames(), content_type="text/event-stream", headers={**_HEADERS, **(headers or {})}
            )
            response.call_on_close(body.response_closed)
            g.close_unsent = opened.close  # should the response be dropped before it is sent
        except BaseException:
            opened.close()
            raise
        return response


def _is_chunked(connection: socket.socket | None) -> bool:
    """Does gunicorn send this response in chunks, on a socket whose bytes are the client's bytes?"""
    if connection is None or isinstance(connection, ssl.SSLSocket):
        return False
    return request.environ.get("SERVER_PROTOCOL") == "HTTP/1.1" and request.method != "HEAD"


@contextmanager
def client_left(disconnects: DisconnectWatcher) -> Iterator[Event]:
    """An event that is set when the client of this request hangs up, while inside."""
    left = Event()
    connection = request.environ.get("gunicorn.socket")
    if connection is None:
        yield left
        return
    with disconnects.watching(connection, left.set):
        yield left
