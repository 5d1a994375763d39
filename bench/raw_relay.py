"""The floor for threads: one per client on raw sockets, no WSGI, no framework, and nothing is kept on disk."""

from __future__ import annotations

import itertools
import os
import re
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

_LENGTH: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_STREAM_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_MODEL_HEAD: Final = (
    b"POST /v1/messages HTTP/1.1\r\nHost: model\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)

sessions: dict[str, list[Any]] = {}
_numbers = itertools.count()
_idle: list[socket.socket] = []  # connections to the model; a list's append and pop are atomic


class Wire:
    """Reads what HTTP/1.1 frames in lengths from a socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._received = bytearray()

    def head(self) -> bytes:
        """Up to the blank line; empty if the peer has left."""
        while (end := self._received.find(b"\r\n\r\n")) < 0:
            if not self._receive():
                return b""
        return self._take(end + 4)

    def body(self, head: bytes) -> bytes:
        length = _LENGTH.search(head)
        size = int(length[1]) if length else 0
        while len(self._received) < size and self._receive():
            pass
        return self._take(size)

    def payloads(self) -> Iterator[bytes]:
        """The payload of a chunked body, as much at once as has arrived."""
        while True:
            payload, over = self._chunks()
            if payload:
                yield payload
            if over or not self._receive():
                return

    def _chunks(self) -> tuple[bytes, bool]:
        """All chunks that are here, joined; whether the last of them all was among them."""
        received, at, found = self._received, 0, []
        size = -1
        while size and (line_end := received.find(b"\r\n", at)) >= 0:
            size = int(received[at:line_end], 16)
            end = line_end + 2 + size
            if len(received) < end + 2:
                size = -1
                break
            found.append(bytes(received[line_end + 2 : end]))
            at = end + 2
        del received[:at]
        return b"".join(found), not size

    def _receive(self) -> bool:
        data = self._connection.recv(1 << 16)
        self._received += data
        return bool(data)

    def _take(self, size: int) -> bytes:
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken


def serve(client: socket.socket, model: tuple[str, int]) -> None:
    wire = Wire(client)
    with client:
        try:
            while head := wire.head():
                path = head.split(b" ", 2)[1].decode()
                body = wire.body(head)
                if "/agent/" in path:
                    _run(client, path.split("/")[3], orjson.loads(body), model)
                else:
                    client.sendall(_answer(path, body))
        except OSError:
            pass  # it has hung up


def _answer(path: str, body: bytes) -> bytes:
    answer = {"status": "ok"}
    if path == "/api/sessions":
        answer = {"id": f"raw-{next(_numbers)}"}
        sessions[answer["id"]] = orjson.loads(body).get("messages", [])
    payload = orjson.dumps(answer)
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(payload), payload)


def _run(client: socket.socket, session_id: str, said: list[Any], model: tuple[str, int]) -> None:
    messages = sessions[session_id] + said
    upstream = _idle.pop() if _idle else socket.create_connection(model)
    upstream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    request = {"model": "claude-sonnet-5-5", "max_tokens": 32_000, "stream": True, "messages": messages}
    body = orjson.dumps(request)
    try:
        upstream.sendall(_MODEL_HEAD % len(body) + body)
        wire = Wire(upstream)
        wire.head()
        client.sendall(_STREAM_HEAD)
        answer = _relay(client, wire)
    except OSError:
        upstream.close()
        raise
    _idle.append(upstream)
    client.sendall(b"0\r\n\r\n")
    sessions[session_id] = [*messages, {"role": "assistant", "content": answer}]


def _relay(client: socket.socket, wire: Wire) -> str:
    """Sends on what the model says; the whole text at the end."""
    text, rest = [], b""
    for payload in wire.payloads():
        *frames, rest = (rest + payload).split(b"\n\n")
        out = []
        for frame in frames:
            event = orjson.loads(frame[frame.index(b"data: ") + 6 :])
            if event["type"] == "content_block_delta":
                text.append(event["delta"]["text"])
                out.append(
                    b"data: %b\n\n"
                    % orjson.dumps({"type": "agent_choice", "content": event["delta"]["text"]})
                )
        if out:
            joined = b"".join(out)
            client.sendall(b"%x\r\n%b\r\n" % (len(joined), joined))
    return "".join(text)


def main() -> None:
    url = urlsplit(os.environ["ANTHROPIC_BASE_URL"])
    model = (str(url.hostname), int(url.port or 80))
    with socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=2048) as listener:
        while True:
            client, _ = listener.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=serve, args=(client, model), daemon=True).start()


if __name__ == "__main__":
    main()
