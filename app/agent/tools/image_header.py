"""Whether bytes are a picture that the model's API takes, told from the file's head."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

MAX_BYTES: Final = 10_000_000  # of what is looked at; what is kept of it is smaller
MAX_SIDE: Final = 8_000


@dataclass(frozen=True, slots=True)
class Picture:
    """`width` and `height` are 0 if the header is damaged."""

    media_type: str
    width: int
    height: int


def recognise(data: bytes) -> Picture | None:
    """The kind of picture by content; None for anything else."""
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            return Picture("image/png", *struct.unpack(">II", data[16:24]))
        if data[:6] in (b"GIF87a", b"GIF89a"):
            return Picture("image/gif", *struct.unpack("<HH", data[6:10]))
        if data.startswith(b"\xff\xd8\xff"):
            return Picture("image/jpeg", *_jpeg_size(data))
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return Picture("image/webp", *_webp_size(data))
    except (struct.error, IndexError):
        return Picture(_media_type(data), 0, 0)
    return None


def unfit(picture: Picture, size: int) -> str:
    """Why the API would refuse the picture, empty if it takes it: one refused picture spoils a session."""
    if size > MAX_BYTES:
        return f"too large ({size} bytes, max {MAX_BYTES} bytes)"
    if max(picture.width, picture.height) > MAX_SIDE:
        return f"too large ({picture.width}x{picture.height} pixels, max {MAX_SIDE} per side)"
    if not picture.width or not picture.height:
        return f"damaged ({picture.media_type} without a size)"
    return ""


def _media_type(data: bytes) -> str:
    return {b"\x89": "image/png", b"G": "image/gif", b"\xff": "image/jpeg"}.get(data[:1], "image/webp")


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Hops from segment to segment until one describes a frame."""
    at = 2
    while True:
        while data[at] == 0xFF and data[at + 1] == 0xFF:
            at += 1  # padding
        if data[at] != 0xFF:
            return 0, 0
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        (length,) = struct.unpack(">H", data[at + 2 : at + 4])
        at += 2 + max(length, 2)


def _webp_size(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        return _little(data[24:27]) + 1, _little(data[27:30]) + 1
    if kind == b"VP8L":
        (bits,) = struct.unpack("<I", data[21:25])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack("<HH", data[26:30])
    return width & 0x3FFF, height & 0x3FFF


def _little(data: bytes) -> int:
    if len(data) != 3:
        raise IndexError
    return int.from_bytes(data, "little")
