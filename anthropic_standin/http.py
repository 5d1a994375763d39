"""As much of HTTP/1.1 as a model's client needs: requests in, answers out. Bytes only, no sockets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

import orjson

from anthropic_standin.refusal import Json

LAST_CHUNK = b"0\r\n\r\n"
_MAX_HEAD = 65_536
_REASONS = {status.value: status.phrase for status in HTTPStatus}


class Unreadable(Exception):
    """The bytes that came in are no request that can be answered and followed by another."""


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A request without its body. Header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    size: int  # bytes of head, to be taken off the buffer
    length: int  # bytes of body


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    def encode(self) -> bytes:
        fields = {"content-type": "application/json", "content-length": str(len(self.body)), **self.headers}
        return _head(self.status, fields) + self.body


def json_response(status: int, body: Json, headers: Mapping[str, str] | None = None) -> Response:
    return Response(status, orjson.dumps(body), headers or {})


def stream_head(headers: Mapping[str, str]) -> bytes:
    fixed = {"content-type": "text/event-stream", "cache-control": "no-cache", "transfer-encoding": "chunked"}
    return _head(200, {**fixed, **headers})


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def read_head(buffer: bytes | bytearray) -> RequestHead | None:
    """The head at the start of the buffer, or nothing while it is incomplete."""
    end = buffer.find(b"\r\n\r\n", 0, _MAX_HEAD)
    if end < 0:
        if len(buffer) >= _MAX_HEAD:
            raise Unreadable
        return None
    first, *lines = bytes(buffer[:end]).decode("latin-1").split("\r\n")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        name = name.lower()
        headers[name] = f"{headers[name]},{value.strip()}" if name in headers else value.strip()
    words = first.split(" ")
    length = headers.get("content-length", "0")
    if len(words) != 3 or not length.isdecimal() or "transfer-encoding" in headers:
        raise Unreadable
    return RequestHead(words[0], words[1].partition("?")[0], headers, end + 4, int(length))


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Error')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
