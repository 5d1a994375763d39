"""One client's connection to the stand-in."""

from __future__ import annotations

import asyncio
from typing import cast

from anthropic_standin.http import Request, RequestHead, Unreadable, read_head
from anthropic_standin.messages_service import MessagesService, Reply
from anthropic_standin.playback import Playback, Streamed
from anthropic_standin.request_log import RequestLog

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class StandinConnection(asyncio.Protocol):
    """One client's connection. Takes one request at a time; the next waits in the buffer."""

    def __init__(
        self, service: MessagesService, memory: RequestLog, connections: set[StandinConnection]
    ) -> None:
        self._service = service
        self._memory = memory
        self._connections = connections
        self._buffer = bytearray()
        self._head: RequestHead | None = None
        self._busy = False
        self._playback: Playback | None = None
        self._streams = False
        self._timer: asyncio.Handle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        self._connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._playback is not None:
            self._playback.stop()
        self._end_stream()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._busy:
            self._read()

    def pause_writing(self) -> None:
        if self._playback is not None:
            self._playback.pause()

    def resume_writing(self) -> None:
        if self._playback is not None:
            self._playback.resume()

    def abort(self) -> None:
        self._transport.abort()

    def release(self) -> bool:
        held = self._playback is not None and self._playback.is_held
        if self._playback is not None and held:
            self._playback.release()
        return held

    def _read(self) -> None:
        if self._head is None:
            try:
                self._head = read_head(self._buffer)
            except Unreadable:
                self._transport.close()
                return
            if self._head is None:
                return
            del self._buffer[: self._head.size]
            if self._head.headers.get("expect", "").lower() == "100-continue":
                self._transport.write(_CONTINUE)
        head = self._head
        if len(self._buffer) < head.length:
            return
        body = bytes(self._buffer[: head.length])
        del self._buffer[: head.length]
        self._head, self._busy = None, True
        self._reply(self._service.answer(Request(head.method, head.path, head.headers, body)))

    def _reply(self, reply: Reply) -> None:
        if isinstance(reply.content, Streamed):
            self._streams = True
            self._memory.note_stream(+1)
        if reply.delay:
            self._timer = asyncio.get_running_loop().call_later(reply.delay, self._send, reply)
        else:
            self._send(reply)

    def _send(self, reply: Reply) -> None:
        self._timer = None
        if reply.closes:
            self._transport.close()
        elif isinstance(reply.content, Streamed):
            self._playback = Playback(reply.content, self._transport, self._finish)
            self._playback.start()
        elif reply.content is not None:
            self._transport.write(reply.content.encode())
            self._finish()

    def _finish(self) -> None:
        self._end_stream()
        self._playback = None
        self._busy = False
        if self._buffer:
            self._read()

    def _end_stream(self) -> None:
        if self._streams:
            self._streams = False
            self._memory.note_stream(-1)
