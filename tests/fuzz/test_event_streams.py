"""The decoder of server-sent events: any bytes, in pieces of any size."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from app.agent.anthropic.sse_decoder import Frame, MalformedStream, SseDecoder
from tests.fuzz.limits import CUTS, bounded, joined, large, pieces, tries

TOKENS = (
    *(
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"event: a",
        b"event:",
        b"data: {}",
        b"data:",
        b"data",
        b": x",
        b"id: 7",
    ),
    *(b"\0", b"\xff", b"\xef\xbb\xbf", b" ", b":", b"retry: 1"),
)
STREAMS = st.one_of(st.binary(max_size=300), joined(TOKENS), large(TOKENS))


def decoded(parts: Iterable[bytes], limit: int = 1 << 30) -> list[Frame]:
    decoder = SseDecoder(limit)
    return [frame for part in parts for frame in decoder.feed(part)]


@tries(80)
@given(STREAMS, CUTS)
def test_frames_do_not_depend_on_where_the_stream_is_cut(stream: bytes, cuts: list[int]) -> None:
    with bounded():
        whole = decoded([stream])
        assert decoded(pieces(stream, cuts)) == whole
    assert sum(len(name) + len(data) for name, data in whole) <= len(stream)


@tries(15)
@given(large(TOKENS, size=30_000))
def test_a_stream_of_single_bytes_takes_linear_time(stream: bytes) -> None:
    with bounded():
        assert decoded(stream[at : at + 1] for at in range(len(stream))) == decoded([stream])


@tries(60)
@given(joined(TOKENS), CUTS, st.integers(1, 40))
def test_a_frame_above_the_limit_is_malformed_wherever_it_is_cut(
    stream: bytes, cuts: list[int], limit: int
) -> None:
    def outcome(parts: Iterable[bytes]) -> list[Frame] | str:
        try:
            return decoded(parts, limit)
        except MalformedStream as error:
            return str(error)

    with bounded():
        bytewise = outcome(stream[at : at + 1] for at in range(len(stream)))
        assert outcome([stream]) == outcome(pieces(stream, cuts)) == bytewise
