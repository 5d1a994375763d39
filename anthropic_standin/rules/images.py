"""Images: their number, their bytes, their format and their sides (I1-I3), and whether they can be decoded."""

from __future__ import annotations

import base64
import binascii
import io
import struct
from collections.abc import Iterator
from functools import lru_cache

from PIL import Image

from anthropic_standin.models import Model
from anthropic_standin.refusal import Json, Refusal
from anthropic_standin.rules.roles import blocks_of
from anthropic_standin.rules.shape import wrong

MAX_BYTES = 10_485_760
MAX_SIDE = 8000
MAX_SIDE_OF_MANY = 2000
MANY = 20
MOST = 600
MOST_OF_SMALL_WINDOW = 100
SMALL_WINDOW = 200_000  # tokens


def check_documents(messages: list[Json]) -> None:
    for path, document in _blocks(messages, "document"):
        source = document["source"]
        if source["type"] == "base64" and source["media_type"] == "application/pdf":
            _check_pdf(f"{path}.pdf.source.base64.data", source["data"])


def _check_pdf(where: str, data: str) -> None:
    """The usual marks of one, at its beginning and its end."""
    try:
        found = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise wrong(where, "Invalid base64 data") from None
    if not found.startswith(b"%PDF-") or b"%%EOF" not in found:
        raise wrong(where, "The PDF specified was not valid.")


def check_images(messages: list[Json], model: Model) -> None:
    images = list(_blocks(messages, "image"))
    most = MOST if model.window > SMALL_WINDOW else MOST_OF_SMALL_WINDOW
    if len(images) > most:
        raise Refusal(f"messages: Too much media: 0 document pages + {len(images)} images > {most}")
    for path, image in images:
        if image["source"]["type"] == "base64":
            _check_image(path, image, many=len(images) > MANY)


def _blocks(messages: list[Json], kind: str) -> Iterator[tuple[str, Json]]:
    for index, message in enumerate(messages):
        for position, block in enumerate(blocks_of(message)):
            path = f"messages.{index}.content.{position}"
            if block["type"] == kind:
                yield path, block
            elif block["type"] == "tool_result" and isinstance(block.get("content"), list):
                for place, part in enumerate(block["content"]):
                    if part["type"] == kind:
                        yield f"{path}.tool_result.content.{place}", part


def _check_image(path: str, image: Json, *, many: bool) -> None:
    source = image["source"]
    where = f"{path}.image.source.base64"
    if len(source["data"]) > MAX_BYTES:
        raise wrong(where, f"image exceeds 10 MB maximum: {len(source['data'])} bytes > {MAX_BYTES} bytes")
    try:
        data = base64.b64decode(source["data"], validate=True)
    except (binascii.Error, ValueError):
        raise wrong(f"{where}.data", "Invalid base64 data") from None
    media, width, height = _measure(data)
    if not media:
        raise wrong(f"{where}.data", "Could not process image")
    if media != source["media_type"]:
        raise wrong(
            f"{where}.data",
            f"The image was specified using the {source['media_type']} media type, "
            f"but the image appears to be a {media} image",
        )
    downsized = (image.get("transformations") or {}).get("oversized_image") == "downsize"
    limit, words = (MAX_SIDE_OF_MANY, " for many-image requests") if many else (MAX_SIDE, "")
    if max(width, height) > limit and not downsized:
        raise wrong(
            f"{where}.data",
            f"At least one of the image dimensions exceed max allowed size{words}: {limit} pixels",
        )
    if not _can_be_decoded(data):
        raise wrong(f"{where}.data", "Could not process image")


@lru_cache(maxsize=256)
def _can_be_decoded(data: bytes) -> bool:
    """Every request of a conversation brings the same images again."""
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "GIF", "WEBP")) as image:
            image.load()
    except Exception:
        return False
    return True


def _measure(data: bytes) -> tuple[str, int, int]:
    """Media type, width and height from the first bytes; no media type when they belong to no image."""
    if data.startswith(b"\x89PNG\r\n\x1a\n") and len(data) >= 24:
        return ("image/png", *struct.unpack(">II", data[16:24]))
    if data.startswith((b"GIF87a", b"GIF89a")) and len(data) >= 10:
        return ("image/gif", *struct.unpack("<HH", data[6:10]))
    if data.startswith(b"\xff\xd8"):
        return ("image/jpeg", *_measure_jpeg(data))
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp", 1, 1  # three layouts of its header; nobody has needed its sides here
    return "", 0, 0


def _measure_jpeg(data: bytes) -> tuple[int, int]:
    """The sides stand in the first frame header (SOF); the segments before it are skipped."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        at += 2 + length
    return 0, 0
