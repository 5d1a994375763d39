"""A connection to a model's endpoint, in plain text or under TLS."""

from __future__ import annotations

import errno
import socket
import ssl
import struct
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

import httpx2

from app.agent.anthropic.http.framing import HEAD_LIMIT, ProtocolError, ResponseHead, parse_head
from app.io_wait import READABLE, is_ready

T = TypeVar("T")

READ_SIZE: Final = 64 * 1024


class SocketConnection:
    """In one thread's hands at a time. Its errors are httpx2's, and ProtocolError."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket: Final = connected
        self.idle_since = 0.0
        self._patience = 0.0
        self._stream: _Stream = connected

    def wait_at_most(self, seconds: float | None) -> None:
        """The limit for each single wait from now on. The kernel keeps it: a time-out of Python's own would
        cost a second system call for every piece of a stream."""
        self._patience = seconds or 0.0
        whole, part = divmod(self._patience, 1)
        interval = struct.pack("ll", int(whole), int(part * 1e6))
        self.socket.settimeout(None)
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, interval)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, interval)
        except OSError as error:
            # macOS takes no option for a connection that is closed both ways; nothing waits on it any more.
            if error.errno != errno.EINVAL:
                raise

    def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """May be called a second time: TLS with the endpoint inside TLS with a proxy."""
        try:
            self._stream = _Tls(self._stream, context, host)
        except BlockingIOError as error:
            raise httpx2.ConnectTimeout(f"no TLS with {host} in time") from error
        except OSError as error:
            raise httpx2.ConnectError(f"no TLS with {host}: {error}") from error

    def send(self, data: bytes) -> None:
        try:
            self._stream.sendall(data)
        except BlockingIOError as error:
            raise httpx2.WriteTimeout("the server does not take the request") from error
        except OSError as error:
            raise httpx2.WriteError(str(error)) from error

    def receive(self) -> bytes:
        """All that has arrived, at least one byte; b"" when the peer has closed."""
        try:
            return self._stream.recv(READ_SIZE)
        except BlockingIOError as error:
            raise httpx2.ReadTimeout(f"nothing came for {self._patience:g} seconds") from error
        except OSError as error:
            raise httpx2.ReadError(str(error)) from error

    def receive_now(self) -> bytes | None:
        """The same without waiting: None if nothing has arrived, or nothing that is whole."""
        try:
            return self._stream.recv(READ_SIZE, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        except OSError as error:
            raise httpx2.ReadError(str(error)) from error

    def receive_head(self) -> tuple[ResponseHead, bytes]:
        """The head of the answer, and what came behind it. The heads of mere news that come before count to the
        same limit."""
        text, start, searched = bytearray(), 0, 0
        while True:
            while (end := text.find(b"\r\n\r\n", max(start, searched - 3))) < 0:
                if len(text) > HEAD_LIMIT:
                    raise ProtocolError(f"a head of more than {HEAD_LIMIT} bytes")
                searched = len(text)
                data = self.receive()
                if not data:
                    raise ProtocolError("the connection was closed before an answer came")
                text += data
            if end > HEAD_LIMIT:
                raise ProtocolError(f"a head of more than {HEAD_LIMIT} bytes")
            head, start = parse_head(bytes(text[start:end])), end + 4
            if head.status >= 200:  # informational answers before it are skipped
                return head, bytes(text[start:])

    def is_stale(self) -> bool:
        """Asked of an idle connection: bytes that come then are its end, or something that nobody asked for."""
        return is_ready(self.socket, READABLE)

    def close(self) -> None:
        self.socket.close()


class _Stream(Protocol):
    def recv(self, size: int, flags: int = 0, /) -> bytes: ...

    def sendall(self, data: bytes, /) -> None: ...


class _Tls:
    """TLS over another stream. Not an `SSLSocket`, because that one needs a call for each record, can't be
    stacked, and takes the descriptor away from the socket that an interrupt knows."""

    def __init__(self, inner: _Stream, context: ssl.SSLContext, host: str) -> None:
        self._inner = inner
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._pump(self._tls.do_handshake)

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        try:
            pieces = [self._pump(lambda: self._tls.read(size), flags)]
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""  # whether that was too early is for the body's framing to say
        while self._incoming.pending:
            try:
                pieces.append(self._tls.read(size))
            except ssl.SSLError:
                break  # half a record, or the end, which the next call will meet
        return b"".join(pieces)

    def sendall(self, data: bytes, /) -> None:
        for start in range(0, len(data), READ_SIZE):
            piece = data[start : start + READ_SIZE]
            self._pump(lambda piece=piece: self._tls.write(piece))  # type: ignore[misc]

    def _pump(self, step: Callable[[], T], flags: int = 0) -> T:
        """Takes the step; brings and carries away bytes until it succeeds. The flags are for receiving."""
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                self._flush()
                data = self._inner.recv(READ_SIZE, flags)
                if data:
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._inner.sendall(self._outgoing.read())
