"""HTTP/1.1 as bytes: heads and bodies, however they are cut up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.agent.anthropic.http.framing import (
    ChunkedBody,
    ProtocolError,
    ResponseBody,
    ResponseHead,
    SizedBody,
    UnsizedBody,
    body_for,
    parse_head,
    request_head,
)


def feed(body: ResponseBody, text: bytes, cuts: list[int]) -> bytes:
    ends = [*sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    starts = [0, *ends[:-1]]
    return b"".join(body.feed(text[start:end]) for start, end in zip(starts, ends, strict=True))


CUTS = st.lists(st.integers(0, 10_000), max_size=10)


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8), CUTS, st.booleans())
def test_chunks_give_their_payload_however_they_arrive(
    chunks: list[bytes], cuts: list[int], trailer: bool
) -> None:
    text = b"".join(b"%X;ext=1\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    text += b"0\r\nx-sum: 1\r\n\r\n" if trailer else b"0\r\n\r\n"
    body = ChunkedBody()
    assert feed(body, text, cuts) == b"".join(chunks)
    assert body.reusable
    body.end()


@given(st.binary(max_size=40), CUTS)
def test_a_body_with_a_length_ends_after_it(payload: bytes, cuts: list[int]) -> None:
    body = SizedBody(len(payload))
    assert feed(body, payload, cuts) == payload
    assert body.reusable
    body.feed(b"HTTP/1.1 200 OK")
    assert not body.reusable


def test_chunks_that_arrive_together_come_as_one_piece() -> None:
    assert ChunkedBody().feed(b"2\r\nab\r\n1\r\nc\r\n5\r\nde") == b"abcde"


@pytest.mark.parametrize(
    "text",
    [
        b"zz\r\n",
        b"-1\r\n",
        b"0x1\r\n",
        b"1_0\r\n",
        b"\r\n",
        b"2\r\nab3\r\nabc\r\n",
        b"1" * 5000,
        b"0\r\n" + b"a" * 5000,
    ],
)
def test_chunks_that_are_not_framed_are_refused(text: bytes) -> None:
    with pytest.raises(ProtocolError):
        ChunkedBody().feed(text)


def test_a_body_that_is_cut_is_told_from_one_that_ended() -> None:
    for body in (SizedBody(3), ChunkedBody()):
        body.feed(b"1\r")
        with pytest.raises(ProtocolError, match="closed"):
            body.end()
    endless = UnsizedBody()
    assert endless.feed(b"ab") == b"ab"
    endless.end()
    assert endless.done
    assert not endless.reusable


def head(*headers: tuple[bytes, bytes], status: int = 200, version: bytes = b"HTTP/1.1") -> ResponseHead:
    return ResponseHead(status, b"", list(headers), version)


def test_the_head_says_how_the_body_is_framed() -> None:
    chunked = (b"Transfer-Encoding", b"Chunked")
    assert isinstance(body_for(b"POST", head(chunked, (b"content-length", b"3"))), ChunkedBody)
    assert isinstance(body_for(b"POST", head((b"Content-Length", b"3"))), SizedBody)
    assert isinstance(body_for(b"POST", head()), UnsizedBody)
    assert body_for(b"HEAD", head((b"content-length", b"3"))).reusable
    assert body_for(b"POST", head(status=204)).reusable
    for wrong in [(b"transfer-encoding", b"gzip, chunked"), (b"content-length", b"+3")]:
        with pytest.raises(ProtocolError):
            body_for(b"POST", head(wrong))
    with pytest.raises(ProtocolError):
        body_for(b"POST", head((b"content-length", b"3"), (b"content-length", b"4")))


def test_a_connection_is_kept_unless_somebody_says_otherwise() -> None:
    assert head().keeps_alive
    assert not head((b"Connection", b"Foo, Close")).keeps_alive
    assert not head(version=b"HTTP/1.0").keeps_alive


def test_a_head_is_taken_apart() -> None:
    assert parse_head(b"HTTP/1.1 200 All right\r\nA: 1\r\nB:2 ") == ResponseHead(
        200, b"All right", [(b"A", b"1"), (b"B", b"2")], b"HTTP/1.1"
    )
    assert parse_head(b"HTTP/1.0 404").status == 404


@pytest.mark.parametrize(
    "text", [b"", b"SSH-2.0-OpenSSH", b"HTTP/2 200 OK", b"HTTP/1.1 20 OK", b"HTTP/1.1 200 OK\r\nno colon"]
)
def test_what_is_not_a_head_is_refused(text: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_head(text)


def test_a_request_can_not_be_smuggled_in_a_header() -> None:
    assert request_head(b"GET", b"/a", [(b"Host", b"h")]) == b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
    with pytest.raises(ProtocolError):
        request_head(b"GET", b"/a", [(b"Host", b"h\r\nX: y")])
