"""A server that does exactly what a test says, byte by byte, on real sockets."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import orjson

PATIENCE = 10.0  # seconds after which a test gives up; nothing here takes as long


@dataclass(frozen=True)
class Request:
    line: str
    headers: dict[str, str]  # names in lower case
    body: bytes


class Peer:
    """The server's end of one connection."""

    def __init__(self, connection: socket.socket, server: SocketServer) -> None:
        self.socket = connection
        self.server = server
        self._read = b""

    def request(self) -> Request | None:
        """The next request; None once the client has closed."""
        while b"\r\n\r\n" not in self._read:
            if not self._fill():
                return None
        head, _, self._read = self._read.partition(b"\r\n\r\n")
        line, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        size = int(headers.get("content-length", 0))
        while len(self._read) < size:
            if not self._fill():
                return None
        body, self._read = self._read[:size], self._read[size:]
        request = Request(line, headers, body)
        self.server.requests.append(request)
        return request

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def head(self, *headers: str, status: str = "200 OK") -> None:
        self.send("\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode("latin-1"))

    def answer(self, body: bytes, *headers: str, status: str = "200 OK") -> None:
        self.head(f"content-length: {len(body)}", *headers, status=status)
        self.send(body)

    def stream_head(self, *headers: str) -> None:
        self.head("content-type: text/event-stream", "transfer-encoding: chunked", *headers)

    def chunk(self, data: bytes) -> None:
        self.send(b"%x\r\n%b\r\n" % (len(data), data))

    def stream(self, *pieces: bytes) -> None:
        """A whole answer, each piece a chunk."""
        self.stream_head()
        for piece in pieces:
            self.chunk(piece)
        self.chunk(b"")

    def until_gone(self) -> None:
        """Waits until the client has closed."""
        while self._fill():
            pass
        self.server.gone.release()

    def reset(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _fill(self) -> bool:
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            data = b""
        self._read += data
        return bool(data)


Script = Callable[[Peer], None]


class SocketServer:
    def __init__(self, script: Script, tls: ssl.SSLContext | None) -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self.gone = threading.Semaphore(0)  # counts the clients that were seen to leave
        self.failures: list[Exception] = []
        self._script = script
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._open: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def wait_until_gone(self) -> None:
        assert self.gone.acquire(timeout=PATIENCE), "the client is still there"

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.add(connection)
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        raw = connection
        try:
            connection.settimeout(PATIENCE)
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
                self._open.add(connection)
            self._script(Peer(connection, self))
        except (ConnectionError, ssl.SSLError):
            pass  # clients leave: that is what the tests are about
        except Exception as error:
            self.failures.append(error)
        finally:
            connection.close()
            self._open -= {raw, connection}

    def close(self) -> None:
        for listening_or_open in (self._listener, *self._open):
            try:
                socket.socket.shutdown(listening_or_open, socket.SHUT_RDWR)
            except OSError:
                pass
        self._listener.close()
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "the test's server hangs"


@contextmanager
def serving(script: Script, *, tls: ssl.SSLContext | None = None) -> Iterator[SocketServer]:
    """Runs the script once for each connection. A script that fails fails the test."""
    server = SocketServer(script, tls)
    try:
        yield server
    finally:
        server.close()
    assert not server.failures, server.failures


def sse(*events: Mapping[str, object]) -> bytes:
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (str(one["type"]).encode(), orjson.dumps(one)) for one in events
    )
