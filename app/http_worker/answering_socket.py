"""A client's socket that keeps what the client has no room for, so that no thread waits until it reads its answer."""

from __future__ import annotations

import re
import socket
from typing import Any, Final

_HAS_LENGTH: Final = re.compile(rb"\r\ncontent-length:", re.IGNORECASE)
_IS_STREAM: Final = re.compile(rb"\r\ncontent-type:[ \t]*text/event-stream", re.IGNORECASE)
_KEPT: Final = 1 << 20  # bytes of an answer that is made piece by piece
_PIECE: Final = 1 << 20


class AnsweringSocket(socket.socket):
    """The part of an answer that the client does not take at once stays here, and the main loop sends it on: all of
    an answer that is in memory anyway, and a first part of one that is read from the database meanwhile. The thread
    that makes more, or a stream of events, waits."""

    def __init__(self, accepted: socket.socket) -> None:
        """Takes the socket over."""
        super().__init__(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())
        self.unsent = bytearray()
        self._at_head = True
        self._kept: int | None = None  # bytes; None: any number

    def begin_answer(self) -> None:
        """gunicorn writes the head of an answer first, in one piece."""
        self._at_head = True

    def sendall(self, data: Any, flags: int = 0) -> None:
        if self._at_head:
            self._at_head, self._kept = False, _kept_of(data)
        elif self._kept is not None and len(self.unsent) + len(data) > self._kept:
            super().sendall(self.unsent)
            self.unsent.clear()
            super().sendall(data, flags)
            return
        sent = 0 if self.unsent else self._send_now(data)
        self.unsent += memoryview(data)[sent:]

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        file.seek(offset)
        data = file.read(-1 if count is None else count)
        self.sendall(data)
        return len(data)

    def send_on(self) -> bool:
        """Is all of it sent? Raises OSError if the client is gone."""
        del self.unsent[: self._send_now(memoryview(self.unsent)[:_PIECE].tobytes())]
        return not self.unsent

    def _send_now(self, data: Any) -> int:
        try:
            return self.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0


def _kept_of(head: bytes) -> int | None:
    if _IS_STREAM.search(head):
        return 0
    return None if _HAS_LENGTH.search(head) else _KEPT
