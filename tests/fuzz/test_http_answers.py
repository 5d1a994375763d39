"""HTTP answers: heads and bodies of any bytes, in pieces of any size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.agent.anthropic.http.framing import (
    HEAD_LIMIT,
    ProtocolError,
    ResponseBody,
    ResponseHead,
    body_for,
    parse_head,
)
from app.agent.anthropic.http.socket_connection import SocketConnection
from tests.fuzz.limits import CUTS, LARGE, bounded, joined, large, pieces, tries

HEAD_TOKENS = (
    *(
        b"HTTP/1.1 200 OK",
        b"HTTP/1.0 204",
        b"HTTP/1.1 100 Continue",
        b"HTTP/1.1 ",
        b"999",
        b"\r\n",
        b"\r\n\r\n",
    ),
    *(
        b"content-length: 5",
        b"Content-Length: ",
        b"9" * 5000,
        b"-1",
        b"0x5",
        b",",
        b"transfer-encoding: chunked",
    ),
    *(b"connection: close", b" folded", b": no name", b"\n", b"\r", b"\0", b"\xff", b"x: y"),
)
CHUNK_TOKENS = (
    *(b"0\r\n", b"0\r\n\r\n", b"5\r\n", b"hello", b"\r\n", b"A;x=y\r\n", b"ffffffffffffffff\r\n", b"-5\r\n"),
    *(b"FFFFFFFFFFFFFFF\r\n", b" ", b";", b"x: y\r\n", b"\n", b"\r", b"\0", b"0x5\r\n", b"5" * 300),
)
WELL_BEGUN = joined(HEAD_TOKENS).map(b"HTTP/1.1 200 OK\r\n".__add__)


@st.composite
def chunked(draw: st.DrawFn) -> bytes:
    """A body as it should be, perhaps with one piece of dirt in it."""
    payloads = draw(st.lists(st.binary(min_size=1, max_size=40), max_size=8))
    sound = b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in payloads) + b"0\r\n\r\n"
    at = draw(st.integers(0, len(sound)))
    return sound[:at] + draw(st.sampled_from((b"", *CHUNK_TOKENS))) + sound[at:]


BODIES = st.one_of(chunked(), joined(CHUNK_TOKENS), st.binary(max_size=200), large(CHUNK_TOKENS))
CHUNKED = ResponseHead(200, b"", [(b"transfer-encoding", b"chunked")], b"HTTP/1.1")


def read(body: ResponseBody, parts: Sequence[bytes]) -> tuple[bytes, bool, bool] | None:
    """The bytes that a reader would have of it; None for a body that is not framed as it should be. Nothing is fed
    to a body that is whole, so bytes behind its end are left out."""
    payload = b""
    try:
        for part in parts:
            if body.done:
                return payload, True, False
            payload += body.feed(part)
        if not body.done:
            body.end()
    except ProtocolError:
        return None
    return payload, body.done, body.reusable


@tries(150)
@given(BODIES, CUTS)
@example(b"0;" + b"x" * 5000 + b"\r\n\r\n", [])
@example(b"0\r\n" + b"x: y\r\n" * 2000 + b"\r\n", [100, 200])
def test_a_chunked_body_does_not_depend_on_where_it_is_cut(data: bytes, cuts: list[int]) -> None:
    with bounded():
        whole = read(body_for(b"GET", CHUNKED), [data])
        cut = read(body_for(b"GET", CHUNKED), pieces(data, cuts))
        assert (whole and whole[:2]) == (cut and cut[:2])
        bytewise = read(
            body_for(b"GET", CHUNKED), [data[at : at + 1] for at in range(min(len(data), 20_000))]
        )
    if len(data) <= 20_000:
        assert (whole and whole[:2]) == (bytewise and bytewise[:2])
    assert whole is None or len(whole[0]) <= len(data)


@tries(120)
@given(st.one_of(WELL_BEGUN, joined(HEAD_TOKENS), st.binary(max_size=200), large(HEAD_TOKENS)), st.binary())
@example(b"HTTP/1.1 200 OK\r\ncontent-length: " + b"9" * 5000, b"")
def test_a_head_gives_a_body_or_a_protocol_error(text: bytes, data: bytes) -> None:
    with bounded():
        try:
            body = body_for(b"GET", parse_head(text))
        except ProtocolError:
            return
        outcome = read(body, [data] if data else [])
    assert outcome is None or outcome[0] == data[: len(outcome[0])] or len(outcome[0]) <= len(data)


class Played(SocketConnection):
    """A connection on which these pieces arrive, and then its end."""

    def __init__(self, parts: Sequence[bytes]) -> None:
        self._parts: Iterator[bytes] = iter([part for part in parts if part])

    def receive(self) -> bytes:
        return next(self._parts, b"")


def head_of(parts: Sequence[bytes]) -> tuple[ResponseHead, bytes] | None:
    """The head with what was received behind it; None for a protocol error."""
    played = Played(parts)
    try:
        head, rest = played.receive_head()
    except ProtocolError:
        return None
    return head, rest + b"".join(played._parts)


@tries(100)
@given(st.one_of(WELL_BEGUN, joined(HEAD_TOKENS, most=60)), CUTS)
def test_a_received_head_does_not_depend_on_where_it_is_cut(data: bytes, cuts: list[int]) -> None:
    with bounded():
        whole = head_of([data])
        assert head_of(pieces(data, cuts)) == whole
        if len(data) < 10_000:
            assert head_of([data[at : at + 1] for at in range(len(data))]) == whole


@pytest.mark.parametrize("token", [b"HTTP/1.1 100 Continue\r\n\r\n", b"x"])
def test_a_head_that_comes_byte_by_byte_is_read_in_linear_time_and_has_an_end(token: bytes) -> None:
    taken = 0

    class Endless(SocketConnection):
        def __init__(self) -> None:
            pass

        def receive(self) -> bytes:
            nonlocal taken
            at = taken % len(token)
            taken += 1
            assert taken <= LARGE
            return token[at : at + 1]

    with bounded(), pytest.raises(ProtocolError, match=f"more than {HEAD_LIMIT} bytes"):
        Endless().receive_head()
