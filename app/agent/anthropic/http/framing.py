"""The bytes of HTTP/1.1: request and response heads, and the ways in which a body is framed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

Headers = list[tuple[bytes, bytes]]

HEAD_LIMIT: Final = 64 * 1024
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-5]\d\d)(?: (.*))?")
_SIZE: Final = re.compile(rb"[0-9]{1,18}")
_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?")
_SIZE_LINE_LIMIT: Final = 4096


class ProtocolError(ValueError):
    """The peer does not speak HTTP/1.1 as it should."""


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """How a response begins."""

    status: int
    reason: bytes
    headers: Headers
    version: bytes

    def values(self, name: bytes) -> list[bytes]:
        """The comma-separated values of a header, in lower case."""
        lines = [value for key, value in self.headers if key.lower() == name]
        return [value.strip().lower() for value in b",".join(lines).split(b",") if value.strip()]

    @property
    def keeps_alive(self) -> bool:
        return self.version == b"HTTP/1.1" and b"close" not in self.values(b"connection")


def request_head(method: bytes, target: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    lines = [b"%b %b HTTP/1.1" % (method, target), *(b"%b: %b" % header for header in headers)]
    if any(b"\r" in line or b"\n" in line for line in lines):
        raise ProtocolError("a header must not contain a line break")
    return b"\r\n".join(lines) + b"\r\n\r\n"


def parse_head(text: bytes) -> ResponseHead:
    """A head from its bytes, the blank line at its end left out."""
    status_line, *lines = text.split(b"\r\n")
    match = _STATUS_LINE.fullmatch(status_line)
    if match is None:
        raise ProtocolError(f"not an HTTP/1.1 answer: {status_line[:60]!r}")
    headers = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip():
            raise ProtocolError(f"not a header: {line[:60]!r}")
        headers.append((name, value.strip()))
    return ResponseHead(int(match[2]), match[3] or b"", headers, b"HTTP/1." + match[1])


class ResponseBody(Protocol):
    """Takes apart the bytes behind a head. `done` once the body is whole."""

    done: bool

    @property
    def reusable(self) -> bool:
        """Is the body whole, and can the next answer come behind it?"""
        ...

    def feed(self, data: bytes) -> bytes:
        """The payload among these bytes. ProtocolError if they are not framed as they should be."""
        ...

    def end(self) -> None:
        """The peer has closed; ProtocolError if the body is not whole."""
        ...


def body_for(method: bytes, head: ResponseHead) -> ResponseBody:
    if method == b"HEAD" or head.status in (204, 304):
        return SizedBody(0)
    if coding := head.values(b"transfer-encoding"):
        if coding != [b"chunked"]:
            raise ProtocolError(f"a transfer coding that was not asked for: {coding!r}")
        return ChunkedBody()
    sizes = set(head.values(b"content-length"))
    if not sizes:
        return UnsizedBody()
    size = sizes.pop()
    if sizes or not _SIZE.fullmatch(size):
        raise ProtocolError("content-length is not a number")
    return SizedBody(int(size))


class SizedBody:
    def __init__(self, size: int) -> None:
        self.done = size == 0
        self._rest = b""
        self._left = size

    @property
    def reusable(self) -> bool:
        return self.done and not self._rest

    def feed(self, data: bytes) -> bytes:
        payload, self._rest = data[: self._left], data[self._left :]
        self._left -= len(payload)
        self.done = self._left == 0
        return payload

    def end(self) -> None:
        if not self.done:
            raise ProtocolError(f"the connection was closed {self._left} bytes before the end of the answer")


class UnsizedBody:
    """Ends when the peer closes, so nobody can tell whether it was cut."""

    reusable = False

    def __init__(self) -> None:
        self.done = False

    def feed(self, data: bytes) -> bytes:
        return data

    def end(self) -> None:
        self.done = True


class ChunkedBody:
    def __init__(self) -> None:
        self.done = False
        self._rest = b""  # bytes after the end
        self._unread = b""  # a size line, or the trailer, of which the end is still to come
        self._left = 0  # of the present chunk
        self._gap = b""  # bytes before the next size line: the line break after a chunk

    @property
    def reusable(self) -> bool:
        return self.done and not self._rest

    def feed(self, data: bytes) -> bytes:
        """All chunks and parts of chunks at once: joined, because nobody cares where one ended."""
        if self._unread:
            data = self._unread + data
        at, pieces = 0, []
        while True:
            if self._left:
                piece = data[at : at + self._left]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if self._left:
                    self._unread = b""
                    break
            start = at + len(self._gap)
            end = data.find(b"\r\n", start)
            if end < 0:
                self._keep(data[at:])
                break
            if data[at:start] != self._gap:
                raise ProtocolError("a chunk is longer than it said")
            self._check(end + 1 - at)  # as if its last byte were still to come
            self._left = _chunk_size(data[start:end])
            if not self._left:
                self._finish(data, at, end)
                break
            self._gap = b"\r\n"
            at = end + 2
        return b"".join(pieces)

    def end(self) -> None:
        if not self.done:
            raise ProtocolError("the connection was closed in the middle of the answer")

    def _keep(self, unread: bytes) -> None:
        self._check(len(unread))
        self._unread = unread

    def _check(self, size: int) -> None:
        """Checks a size line, or the trailer, with the line breaks around it; whole ones too, so that the outcome
        does not depend on how much came at once."""
        if size > _SIZE_LINE_LIMIT:
            raise ProtocolError("a chunk's size line without end")

    def _finish(self, data: bytes, at: int, end: int) -> None:
        """The last chunk is empty; trailers may follow, then a blank line."""
        trailer_end = data.find(b"\r\n\r\n", end)
        if trailer_end < 0:
            self._keep(data[at:])
        else:
            self._check(trailer_end + 3 - at)  # as if its last byte were still to come
            self.done, self._rest = True, data[trailer_end + 4 :]


def _chunk_size(line: bytes) -> int:
    match = _SIZE_LINE.fullmatch(line)
    if match is None:
        raise ProtocolError(f"not the size of a chunk: {line[:20]!r}")
    return int(match[1], 16)
