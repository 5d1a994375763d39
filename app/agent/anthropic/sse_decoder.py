"""Decodes a stream of server-sent events from bytes that come in pieces of any size."""

from __future__ import annotations

from typing import Final

Frame = tuple[bytes, bytes]  # the event's name, b"" if it has none, and its data

LIMIT: Final = 64 * 1024 * 1024  # bytes of one frame; the API's largest are search results of some megabytes


class MalformedStream(ValueError):
    """The bytes are not what an event stream of the Messages API is made of."""


class SseDecoder:
    """Holds what has come of an unfinished frame. A frame ends with a blank line; one that never ends is
    never given out. Comments, ids and fields that nobody knows are skipped, and so are frames without data.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._rest = bytearray()
        self._after_cr = False

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that these bytes complete, in order. MalformedStream if one is larger than the limit."""
        if self._after_cr or b"\r" in data:
            data = self._with_plain_newlines(data)
        rest = self._rest
        if not rest and data.endswith(b"\n\n"):  # whole frames: what the API mostly sends
            return self._frames(data[:-2])
        # A newline that ended the last piece may be the first half of this one's blank line.
        searched = max(len(rest) - 1, 0)
        rest += data
        end = rest.rfind(b"\n\n", searched)
        if end < 0:
            self._check(rest)
            return []
        whole = bytes(rest[:end])
        del rest[: end + 2]
        self._check(rest)
        return self._frames(whole)

    def _frames(self, whole: bytes) -> list[Frame]:
        texts = whole.split(b"\n\n")
        if len(whole) > self._limit:
            for text in texts:
                self._check(text)
        return [frame for text in texts if (frame := _parse(text))[1]]

    def _check(self, text: bytes | bytearray) -> None:
        """Newlines around a frame don't count: how many there are depends on where the stream was cut."""
        if len(text) > self._limit and len(text.strip(b"\n")) > self._limit:
            raise MalformedStream(f"an event of more than {self._limit} bytes")

    def _with_plain_newlines(self, data: bytes) -> bytes:
        r"""CR and CRLF as LF. A CR at the end counts at once; a LF that follows it in the next piece is its
        second half."""
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
            self._after_cr = False
        if data:
            self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _parse(text: bytes) -> Frame:
    name, found, data = text.partition(b"\ndata: ")
    if found and name.startswith(b"event: ") and b"\n" not in name and b"\n" not in data:
        return name[7:], data  # the only shape that the API sends
    return _parse_fields(text)


def _parse_fields(text: bytes) -> Frame:
    name, data = b"", []
    for line in text.split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            name = value
        elif field == b"data":
            data.append(value)
    return name, b"\n".join(data)
