"""Pictures as they come in: each is decoded once, and made as small as the model's API wants it.

One picture that the API refuses is refused with every later request of its session, so none gets in that can't be
decoded, and none that is too large beside many others.
"""

from __future__ import annotations

import base64
import binascii
import io
import logging
import re
import threading
from typing import Final, NamedTuple
from urllib.parse import unquote

from PIL import Image, ImageOps

from app.agent.tools.image_header import recognise, unfit

log = logging.getLogger(__name__)

MAX_SIDE: Final = 2_000
"""Pixels. The API takes 8,000, but no more than this of any picture in a request with more than 20."""
MAX_KEPT_BYTES: Final = 3_750_000
"""The size of a picture that is left as it is: 5,000,000 characters of base64, which every way to the models takes."""
SMALL_BYTES: Final = 1_500_000
"""The size of a picture that is written anew without loss; a larger one becomes a JPEG."""
MAX_PIXELS: Final = 50_000_000
"""The size of a picture that is decoded: 200 MB of memory."""
MAX_SCANS: Final = 100
"""Parts of a JPEG: each is as much work as a whole picture, and a few bytes can make one."""
MOST: Final = 40
"""Pictures of one message, or of the results of one turn."""
MOST_CHARACTERS: Final = 12_000_000
"""Characters of base64 of these together: a request to the API has at most 32 MB."""
AT_ONCE: Final = 2
"""Pictures that are decoded at the same time, for their memory."""

_FORMATS: Final = ("PNG", "JPEG", "GIF", "WEBP")
_DATA_URI: Final = re.compile(r"\s*data:[^,]{0,200};base64,", re.IGNORECASE)
_URL_SAFE: Final = str.maketrans("-_", "+/")
_SPACE: Final = re.compile(r"[\s=]+")
_decoding: Final = threading.BoundedSemaphore(AT_ONCE)

Image.MAX_IMAGE_PIXELS = MAX_PIXELS  # beyond twice as many Pillow refuses, whatever a header says


class Unusable(Exception):
    """A picture that the model's API would refuse; the text goes on from "a picture that is"."""


class Admitted(NamedTuple):
    """A picture that the API takes."""

    media_type: str
    data: str  # base64


class PictureLimit:
    """How many pictures one message, or the results of one turn, may have. For one thread."""

    def __init__(self) -> None:
        self._count = self._characters = 0

    def take(self, picture: tuple[str, str]) -> Admitted | str:
        """The picture, a media type and base64, as it is to be kept; or a remark in its place."""
        if self._count >= MOST:
            return f"[a picture that is left out: there are more than {MOST}]"
        try:
            admitted = picture if isinstance(picture, Admitted) else admit_base64(picture[1])
        except Unusable as unusable:
            return f"[a picture that is {unusable}]"
        if self._characters + len(admitted.data) > MOST_CHARACTERS:
            return f"[a picture that is left out: together they are larger than {MOST_CHARACTERS:,} bytes]"
        self._count += 1
        self._characters += len(admitted.data)
        return admitted


def is_data_uri(text: str) -> bool:
    """Is it a picture as a `data:` URI, and nothing else?"""
    return bool(
        re.match(r"\s*data:image/[\w.+-]{1,50};base64,[\w+/=%\s-]*\Z", text, re.IGNORECASE | re.ASCII)
    )


def decode_base64(text: str) -> bytes:
    """The bytes of base64 as it is found in the world: behind a `data:` head, broken into lines, in the alphabet for
    URLs, without its padding. ValueError for anything else."""
    if head := _DATA_URI.match(text):
        text = text[head.end() :]
        text = unquote(text) if "%" in text else text
    plain = _SPACE.sub("", text).translate(_URL_SAFE)
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def admit(data: bytes) -> Admitted:
    """The picture as it is, if it can stay so; else the first of its frames, scaled down or written anew. Unusable.

    Waits for its turn if others are decoded, each of them for some seconds at most.
    """
    found = recognise(data)
    if found is None:
        raise Unusable("of a kind that can't be shown")
    if problem := unfit(found, len(data)):
        raise Unusable(problem)
    if found.width * found.height > MAX_PIXELS:
        raise Unusable(f"too large ({found.width}x{found.height} pixels, max {MAX_PIXELS} in all)")
    if data.count(b"\xff\xda") > MAX_SCANS and found.media_type == "image/jpeg":
        raise Unusable(f"damaged ({found.media_type} with too many parts)")
    with _decoding:
        try:
            anew = _decoded(data)
        except Exception:  # a decoder that strangers feed: it raises whatever comes to its mind
            log.debug("a picture can't be decoded", exc_info=True)
            raise Unusable(f"damaged ({found.media_type} that can't be decoded)") from None
    media_type, kept = anew or (found.media_type, data)
    return Admitted(media_type, base64.b64encode(kept).decode())


def admit_base64(text: str) -> Admitted:
    """The same of a picture in base64, as `decode_base64` reads it."""
    try:
        data = decode_base64(text)
    except ValueError:
        raise Unusable("damaged (its base64 can't be read)") from None
    return admit(data)


def _decoded(data: bytes) -> tuple[str, bytes] | None:
    """None if the picture can stay as it is. Raises if it can't be decoded."""
    whole = _is_whole(data)
    with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
        if image.width * image.height > MAX_PIXELS:
            raise ValueError("more pixels than its header says")
        is_animated = getattr(image, "is_animated", False)
        if max(image.size) <= MAX_SIDE and not is_animated and whole and len(data) <= MAX_KEPT_BYTES:
            image.load()
            return None
        image.seek(0)
        is_lossy = image.format == "JPEG"
        drawn: Image.Image = image if is_lossy else _in_colour(image)
        drawn.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
        return _encoded(_in_colour(ImageOps.exif_transpose(drawn)), is_lossy=is_lossy)


def _is_whole(data: bytes) -> bool:
    """Has a PNG all of its parts, each with the right checksum?"""
    if not data.startswith(b"\x89PNG"):
        return True
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            image.verify()
    except Exception:
        return False
    return True


def _in_colour(image: Image.Image) -> Image.Image:
    clear = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
    return image.convert("RGBA" if clear else "RGB")


def _encoded(image: Image.Image, *, is_lossy: bool) -> tuple[str, bytes]:
    if not is_lossy:
        data = _saved(image, "PNG")
        if len(data) <= SMALL_BYTES:
            return "image/png", data
    if image.mode == "RGBA":
        ground = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(ground, image).convert("RGB")
    data = _saved(image, "JPEG", quality=85)
    return "image/jpeg", data if len(data) <= MAX_KEPT_BYTES else _saved(image, "JPEG", quality=50)


def _saved(image: Image.Image, kind: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
