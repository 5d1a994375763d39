"""A connection whose request is collected before a thread gets it."""

from __future__ import annotations

import re
import socket
import tempfile
from collections.abc import Callable
from typing import IO, Any, Final

from gunicorn.http.unreader import Unreader
from gunicorn.workers.gthread import TConn

from app.http_worker.answering_socket import AnsweringSocket
from app.http_worker.early_refusals import HEAD_BYTES
from app.http_worker.handed_over import Rest

_UPLOAD: Final = re.compile(rb"POST /v1/files(\?[^ ]*)? HTTP/")
"""The beginning of a request whose body may be a file's."""

_END_OF_HEAD: Final = b"\r\n\r\n"
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,15})[ \t]*(?=\r\n)", re.IGNORECASE)
_ENCODED: Final = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
_EXPECTS: Final = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*(?=\r\n)", re.IGNORECASE)


class ReceivedRequest(Unreader):
    """Gives gunicorn's parser the bytes of one request, and then the end. It never reads from a socket."""

    def __init__(self) -> None:
        super().__init__()
        self._bytes = memoryview(b"")
        self._file: IO[bytes] | None = None

    def put(self, request: bytes | bytearray, file: IO[bytes] | None = None) -> None:
        """`file`: the rest of the request, which is closed when it has been read."""
        self._bytes, self._file = memoryview(request), file
        if file is not None:
            file.seek(0)

    def chunk(self, size_hint: int | None = None) -> bytes:
        size = max(size_hint or 0, 8192)
        part, self._bytes = self._bytes[:size], self._bytes[size:]
        if not part and self._file is not None:
            if data := self._file.read(size):
                return data
            self._file.close()
            self._file = None
        return bytes(part)


class ClientConnection(TConn):
    """The bytes that have arrived of the next request. The main loop fills it until it is complete, then a thread
    owns it. The part of the answer that the client does not take at once is the main loop's again."""

    sock: AnsweringSocket

    def __init__(
        self,
        cfg: Any,
        sock: socket.socket,
        client: Any,
        server: Any,
        *,
        linger: Callable[[ClientConnection], None],
    ) -> None:
        super().__init__(cfg, AnsweringSocket(sock), client, server)
        self._linger = linger
        self.received = bytearray()
        self.is_cut = False  # the body is not read, so the connection can't be used again
        self.rest: Rest | None = None  # of an answer that its thread has let go of
        self.data_ready = True  # for gunicorn: a thread has nothing to wait for
        self._searched = 0
        self._needed: int | None = None  # bytes of the whole request, once its head is complete
        self._head = 0  # bytes of the head of a request whose body goes to a file
        self._file: IO[bytes] | None = None
        self.on_disk = 0  # bytes of the body that are in that file

    def is_complete(self, body_bytes: int, file_bytes: int = 0) -> bool:
        """A body that is longer, or of unknown length, is left out: the application refuses it by its head. That of an
        upload may have `file_bytes`; what is longer than other bodies may be goes to a file on disk. OSError if there
        is no room for it."""
        if self._needed is None:
            end = self.received.find(_END_OF_HEAD, max(0, self._searched - 3))
            self._searched = len(self.received)
            if end < 0:
                return False
            is_upload = _UPLOAD.match(self.received) is not None
            length = self._body_length(end, max(body_bytes, file_bytes) if is_upload else body_bytes)
            self._head = end + len(_END_OF_HEAD)
            self._needed = self._head + length
            if length > body_bytes:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115 - whoever reads the request closes it
        if self._file is not None:
            part = self.received[self._head : self._needed - self.on_disk]
            self._file.write(part)
            self.on_disk += len(part)
            del self.received[self._head : self._head + len(part)]
        return len(self.received) + self.on_disk >= self._needed

    @property
    def head_is_too_long(self) -> bool:
        return self._needed is None and len(self.received) > HEAD_BYTES

    def _body_length(self, end: int, body_bytes: int) -> int:
        head = bytes(self.received[: end + 2])
        lengths = {int(length) for length in _LENGTH.findall(head)}
        length = lengths.pop() if len(lengths) == 1 else 0
        self.is_cut = bool(lengths or length > body_bytes or _ENCODED.search(head))
        if self.is_cut:
            return 0
        if length and _EXPECTS.search(head):
            self.say(b"HTTP/1.1 100 Continue\r\n\r\n")
        return length

    def init(self) -> None:
        """On the thread that is about to parse the request."""
        super().init()
        if not isinstance(self.parser.unreader, ReceivedRequest):
            self.parser.unreader = ReceivedRequest()
        file, self._file = self._file, None
        self.parser.unreader.put(self._take(), file)
        self.sock.begin_answer()

    def _take(self) -> bytes | bytearray:
        """The request's bytes; those after it stay for the next one."""
        needed, self._needed, self._searched = (self._needed or 0) - self.on_disk, None, 0
        self.on_disk = 0
        if len(self.received) == needed:
            request, self.received = self.received, bytearray()
            return request
        taken = bytes(self.received[:needed])
        del self.received[:needed]
        return taken

    def say(self, words: bytes) -> None:
        """Without waiting: a client that has no room for it misses it."""
        try:
            self.sock.send(words)
        except OSError:
            return

    def close(self, graceful: bool = False) -> None:
        if self._file is not None:
            self._file.close()
        if graceful:
            self._linger(self)
        else:
            super().close()
