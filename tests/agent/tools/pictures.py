"""Pictures: whole ones, as a program draws them; and their heads, enough for a reader that looks no further."""

from __future__ import annotations

import base64
import io
import struct
from functools import cache

from PIL import Image


@cache
def drawn(width: int, height: int, kind: str = "PNG", *, mode: str = "RGB", frames: int = 1) -> bytes:
    """A picture of that size, with something in it."""
    step = Image.linear_gradient("L").resize((width, height))
    image = Image.merge("RGB", (step, step.rotate(180), step)).convert(mode)
    buffer = io.BytesIO()
    more = [image.rotate(90 * number) for number in range(1, frames)]
    image.save(buffer, kind, **({"save_all": True, "append_images": more} if more else {}))
    return buffer.getvalue()


def data_uri(data: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def size_of(data: bytes | str) -> tuple[int, int]:
    """Width and height; of base64 too. Fails for what can't be decoded."""
    with Image.open(io.BytesIO(base64.b64decode(data) if isinstance(data, str) else data)) as image:
        image.load()
        return image.size


def png(width: int, height: int, *, size: int = 100) -> bytes:
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + b"\x08\x06\0\0\0"
    return head.ljust(size, b"\0")


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\0\0\0;"


def jpeg(width: int, height: int) -> bytes:
    comment = b"\xff\xfe" + struct.pack(">H", 300) + b"\xc0" * 298
    frame = b"\xff\xff\xc2" + struct.pack(">HBHHB", 17, 8, height, width, 3) + b"\0" * 9
    return b"\xff\xd8" + b"\xff\xe0" + struct.pack(">H", 16) + b"JFIF\0".ljust(14, b"\0") + comment + frame


def webp(kind: str, width: int, height: int) -> bytes:
    if kind == "VP8X":
        body = b"\0" * 4 + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    elif kind == "VP8L":
        body = b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14)
    else:
        body = b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height)
    return b"RIFF\0\0\0\0WEBP" + kind.encode() + struct.pack("<I", len(body)) + body
