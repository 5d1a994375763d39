"""The decoder of server-sent events, held against the SDK's own."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from anthropic._streaming import SSEDecoder
from hypothesis import example, given
from hypothesis import strategies as st

from app.agent.anthropic.sse_decoder import Frame, MalformedStream, SseDecoder

NEWLINES = st.sampled_from(["\n", "\r\n", "\r"])
LINES = st.one_of(
    st.sampled_from(["", "event: a", "event:b", "event", "data: {}", "data:1", "data", "data:  two"]),
    st.sampled_from(
        [": hush", ":", "id: 7", "retry: 5", "retry: soon", "unknown: x", "data: a: b", " data: x"]
    ),
    st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=6),
    st.text(max_size=6, alphabet="é€😀:\u2028").map("data: ".__add__),
)


def sdk(text: bytes) -> list[Frame]:
    """The SDK's reading of the text in one piece. It gives out a frame without data too, if it has a name or if any
    id came before; nothing that has meaning."""
    events = SSEDecoder().iter_bytes(iter([text]))
    return [((event.event or "").encode(), event.data.encode()) for event in events if event.data]


def ours(pieces: Iterable[bytes]) -> list[Frame]:
    decoder = SseDecoder()
    return [frame for piece in pieces for frame in decoder.feed(piece)]


@st.composite
def split_streams(draw: st.DrawFn) -> list[bytes]:
    lines = draw(st.lists(st.tuples(LINES, NEWLINES), max_size=20))
    text = "".join(line + newline for line, newline in lines).encode()
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=12)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@given(split_streams())
@example([b"data: a\r", b"\n\r", b"\ndata: b\n\n"])
@example([b"data: a\r", b"", b"\n\n"])
@example([b"data: a\r", b"\r", b"\r"])
@example([b"data: a\n", b"\r\n"])
def test_any_split_gives_what_the_sdk_reads(pieces: list[bytes]) -> None:
    assert ours(pieces) == sdk(b"".join(pieces))


@given(split_streams())
def test_every_byte_alone_gives_what_the_whole_gives(pieces: list[bytes]) -> None:
    text = b"".join(pieces)
    assert ours(text[at : at + 1] for at in range(len(text))) == ours([text])


def test_an_event_is_there_as_soon_as_its_blank_line_is() -> None:
    decoder = SseDecoder()
    assert decoder.feed(b"event: ping\ndata: {}\n") == []
    assert decoder.feed(b"\nevent: x") == [(b"ping", b"{}")]
    assert decoder.feed(b"\r\ndata: 1\r\n\r") == [(b"x", b"1")]
    assert decoder.feed(b"\n") == []


def test_data_of_several_lines_is_joined() -> None:
    assert ours([b": hello\nid: 1\ndata: a\ndata:\ndata: b\n\n"]) == [(b"", b"a\n\nb")]


def test_a_frame_without_end_is_refused_when_it_passes_the_limit() -> None:
    decoder = SseDecoder(limit=10)
    assert decoder.feed(b"data: 1234") == []
    with pytest.raises(MalformedStream, match="more than 10 bytes"):
        decoder.feed(b"5")
