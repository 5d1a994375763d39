"""Pictures are known by their content, and measured without being decoded."""

from __future__ import annotations

import pytest

from app.agent.tools.image_header import Picture, recognise
from tests.agent.tools.pictures import gif, jpeg, png, webp


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (png(640, 480), "image/png"),
        (gif(640, 480), "image/gif"),
        (jpeg(640, 480), "image/jpeg"),
        (webp("VP8 ", 640, 480), "image/webp"),
        (webp("VP8L", 640, 480), "image/webp"),
        (webp("VP8X", 640, 480), "image/webp"),
    ],
)
def test_each_kind_is_recognised_with_its_size(data: bytes, media_type: str) -> None:
    assert recognise(data) == Picture(media_type, 640, 480)


@pytest.mark.parametrize("whole", [png(1, 1), gif(1, 1), jpeg(1, 1), webp("VP8X", 1, 1), webp("VP8L", 1, 1)])
def test_a_picture_cut_off_anywhere_is_damaged_or_unknown_but_breaks_nothing(whole: bytes) -> None:
    for length in range(len(whole)):
        found = recognise(whole[:length])
        assert found is None or (found.width, found.height) in ((0, 0), (1, 1))


@pytest.mark.parametrize("data", [b"", b"text", b"%PDF-1.7", b"RIFF\0\0\0\0WAVE", b"<svg/>"])
def test_anything_else_is_no_picture(data: bytes) -> None:
    assert recognise(data) is None


def test_a_jpeg_of_nothing_but_padding_is_damaged() -> None:
    assert recognise(b"\xff\xd8" + b"\xff" * 1000) == Picture("image/jpeg", 0, 0)
