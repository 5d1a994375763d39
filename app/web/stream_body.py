"""The body of one streaming response, with a thread as long as one is needed."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from app import sse_format
from app.errors import ServerFull
from app.http_worker.answering_socket import AnsweringSocket
from app.http_worker.handed_over import HandedOver
from app.runtime.streams.stream_writer import Carriable, CarriedStream, StreamWriter, chunk

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS: Final = 15.0
RETRY_MILLISECONDS: Final = 2000
PING: Final = sse_format.comment(b"ping")
LAST_CHUNK: Final = b"0\r\n\r\n"


class FrameSource(Carriable, Protocol):
    """A reader, as each door has its own: see `EventReader`."""

    @property
    def at_end(self) -> bool: ...

    @property
    def can_be_carried(self) -> bool: ...

    def next(self, timeout: float) -> bytes | None: ...

    def interrupt(self) -> None: ...

    def close(self) -> None: ...


class StreamBody:
    """Under gunicorn the shared writer takes the socket over as soon as the reader has caught up, which spares a
    hand-over between threads for each event; everywhere else this is a plain iterable. Our own worker takes the
    thread back meanwhile: the body is its `Rest` then.
    """

    def __init__(
        self,
        writer: StreamWriter,
        reader: FrameSource,
        connection: socket.socket | None,
        close: Callable[[], None],
    ) -> None:
        """`connection` is what the writer may write chunks to. `close` is called once or more when the response has
        ended, however it ended, and when it was never begun."""
        self._writer = writer
        self._reader = reader
        self._connection = connection
        self._close = close
        self._is_handed_over = False
        self._carried: CarriedStream | None = None

    def frames(self) -> Iterator[bytes]:
        yield sse_format.retry(RETRY_MILLISECONDS)
        yield from self._pieces()

    def response_closed(self) -> None:
        """The server is done with the iterable."""
        if not self._is_handed_over:
            self._close()

    def _pieces(self) -> Iterator[bytes]:
        while True:
            carrier = self._connection if self._reader.can_be_carried else None
            frames = self._next(HEARTBEAT_SECONDS if carrier is None else 0.0)
            if frames is None:
                return
            if frames:
                yield frames
            elif carrier is None or not self._reader.can_be_carried:
                yield PING
            elif isinstance(carrier, AnsweringSocket):
                self._is_handed_over = True
                raise HandedOver(self)
            else:
                try:
                    if not self._writer.carry(carrier, self._reader):
                        return
                except ServerFull:  # no thread for the writer: this one writes
                    self._connection = None

    def _next(self, timeout: float) -> bytes | None:
        """`EventReader.next`; whatever fails ends the stream, and looks to nobody as if the client had left."""
        try:
            return self._reader.next(timeout)
        except Exception:
            log.exception("a stream can't be read any more")
            self._reader.give_up()
            return None

    # ---- what our own worker asks of the rest

    def begin(self, ready: Callable[[], None]) -> None:
        assert self._connection is not None  # noqa: S101 - it was handed over
        try:
            self._carried = self._writer.take_over(self._connection, self._reader, ready)
        except ServerFull:  # a thread writes
            ready()

    def go_on(self) -> bool:
        try:
            whole = self._send_all()
        except HandedOver:
            raise
        except BaseException:
            self._close()
            raise
        self._close()
        return whole

    def _send_all(self) -> bool:
        connection, carried, self._carried = self._connection, self._carried, None
        assert connection is not None  # noqa: S101 - it was handed over
        if carried is None:
            self._connection = None
        elif not carried.give_back():
            return False
        for frames in self._pieces():
            connection.sendall(chunk(frames))
        connection.sendall(LAST_CHUNK)
        return True
