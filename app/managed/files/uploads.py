"""Reads a file out of a request's form."""

from __future__ import annotations

import mimetypes
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from flask import request

from app.errors import InvalidRequest, RequestTooLarge
from app.http_worker.early_refusals import FORM_BYTES
from app.store.file_store import CHUNK

MAX_NAME: Final = 500
MAX_PARTS: Final = 8
LEAST_SECONDS: Final = 3_600
MOST_SECONDS: Final = 7_776_000
UNKNOWN: Final = "application/octet-stream"

_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}\Z")
_FIELDS: Final = ("file", "expires_in_seconds")


@dataclass(frozen=True, slots=True)
class Upload:
    filename: str
    mime_type: str
    lasts: float | None
    _stream: Any

    def pieces(self) -> Iterator[bytes]:
        """Once."""
        while piece := self._stream.read(CHUNK):
            yield piece


def posted_file(most_bytes: int) -> Upload:
    """InvalidRequest, and RequestTooLarge for a file of more bytes. What is long is on disk, not in memory."""
    if request.content_length is None and request.headers.get("Transfer-Encoding"):
        raise InvalidRequest("send a Content-Length; chunked bodies are not read", status=411)
    if (request.content_length or 0) > most_bytes + FORM_BYTES:
        raise RequestTooLarge(f"file: it may have {most_bytes:,} bytes at most")
    if request.mimetype != "multipart/form-data":
        raise InvalidRequest("Failed to parse request: the body must be multipart/form-data")
    request.max_content_length = most_bytes + FORM_BYTES
    request.max_form_parts = MAX_PARTS
    given = [*request.files.items(multi=True), *request.form.items(multi=True)]
    names = [name for name, _ in given]
    for name in names:
        if name not in _FIELDS:
            raise InvalidRequest(f"Failed to parse request: {name[:100]}: unknown field")
        if names.count(name) > 1:
            raise InvalidRequest(f"Failed to parse request: {name}: it may be given once")
    lasts = _lasts()
    if (file := request.files.get("file")) is None:
        words = "must be a file with a filename" if "file" in request.form else "field is required"
        raise InvalidRequest(f"Failed to parse request: file: {words}")
    size = file.stream.seek(0, 2)
    file.stream.seek(0)
    if size > most_bytes:
        raise RequestTooLarge(f"file: it may have {most_bytes:,} bytes at most")
    last = re.split(r"[/\\]", file.filename or "")[-1]
    mime_type = type_of(file.mimetype, last)
    return Upload(_name(last, mime_type), mime_type, lasts, file.stream)


def type_of(said: str, filename: str) -> str:
    """The type that the client has said, if that is one; else what the name tells."""
    if said != UNKNOWN and _TYPE.match(said):
        return said
    return mimetypes.guess_type(filename)[0] or UNKNOWN


def _name(last: str, mime_type: str) -> str:
    if not last:
        return "unnamed" + (mimetypes.guess_extension(mime_type) or "" if mime_type != UNKNOWN else "")
    if len(last) > MAX_NAME:
        raise InvalidRequest(
            f"Failed to parse request: file: its filename may have {MAX_NAME} characters at most"
        )
    if last in (".", "..") or any(unicodedata.category(one) in ("Cc", "Cs") for one in last):
        raise InvalidRequest(
            "Failed to parse request: file: its filename has characters that are not allowed"
        )
    return last


def _lasts() -> float | None:
    if "expires_in_seconds" in request.files:
        raise InvalidRequest("Failed to parse request: expires_in_seconds: must be a number")
    given = request.form.get("expires_in_seconds")
    if given is None:
        return None
    if not re.fullmatch("[0-9]{1,9}", given, re.ASCII) or not LEAST_SECONDS <= int(given) <= MOST_SECONDS:
        raise InvalidRequest(
            "Failed to parse request: expires_in_seconds: must be a whole number from "
            f"{LEAST_SECONDS} to {MOST_SECONDS}"
        )
    return float(given)
