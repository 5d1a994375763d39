"""Bytes as a case writes them down: readable text where it is text, a recipe where it is not."""

from __future__ import annotations

import base64
import gzip
import struct
import zlib
from typing import Any


def made(recipe: Any) -> bytes:
    """Text stands for itself in UTF-8, a list for its parts one after the other. ValueError for what is no recipe."""
    match recipe:
        case str(text):
            return text.encode()
        case list(parts):
            return b"".join(map(made, parts))
        case {"bytes": str(text)}:
            return text.encode("latin-1")
        case {"text": str(text), "in": str(codec)}:
            return text.encode(codec)
        case {"times": int(count), "of": part}:
            return made(part) * count
        case {"first": int(count), "of": part}:
            return made(part)[:count]
        case {"after": int(count), "of": part}:
            return made(part)[count:]
        case {"without_last": int(count), "of": part}:
            return made(part)[:-count]
        case {"gzip": part}:
            return gzip.compress(made(part), mtime=0)
        case {"deflate": part}:
            return zlib.compress(made(part))
        case {"base64_of": part}:
            return base64.b64encode(made(part))
        case {"swapped": part}:
            return made(part).translate(bytes.maketrans(b"+/", b"-_"))
        case {"from_base64": str(text)}:
            return base64.b64decode(text)
        case {"png": [int(width), int(height)]}:
            return png(width, height)
    raise ValueError(f"no recipe: {recipe!r}")


def png(width: int, height: int) -> bytes:
    """A whole picture in one shade of grey."""
    rows = zlib.compress((b"\0" + b"\x80" * width) * height, 1)
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in ((b"IHDR", head), (b"IDAT", rows), (b"IEND", b""))
    )
