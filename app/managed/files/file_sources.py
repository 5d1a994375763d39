"""Blocks that name a file: what it holds takes the name's place when the event is received."""

from __future__ import annotations

import base64
from typing import Final

from app.agent.tools.image_header import recognise
from app.errors import InvalidRequest
from app.managed.content import (
    Base64Image,
    DocumentBlock,
    FromFile,
    ImageBlock,
    Part,
    Parts,
    Pdf,
    PlainText,
    refusal_of,
)
from app.managed.id_validation import checked
from app.store.file_store import FileStore

MOST_FILES: Final = 100
MOST_BYTES: Final = 16 << 20
"""The size of all files of a request: as base64 they have room in a request to the model, which has at most 32 MB."""

MOST_TEXT: Final = 4 << 20

_PDF: Final = b"%PDF-"
_MARK: Final = b"\xef\xbb\xbf"


class FileSources:
    """Serves one request. `owner` is the caller's: whose files may be named."""

    def __init__(self, files: FileStore, *, owner: str | None) -> None:
        self._files = files
        self._owner = owner
        self._count = self._bytes = 0

    def resolved(self, parts: Parts, place: str) -> Parts:
        """The blocks with what the files hold. `place` is where they stand in the request. InvalidRequest, NotFound."""
        return [self._part(part, f"{place}.content[{index}]") for index, part in enumerate(parts)]

    def _part(self, part: Part, place: str) -> Part:
        match part:
            case ImageBlock(source=FromFile(file_id=file_id)):
                data = self._read(file_id, place)
                if (picture := recognise(data)) is None:
                    raise InvalidRequest(f"{place}.source.file_id: the file is no PNG, JPEG, GIF or WebP")
                source = Base64Image(type="base64", media_type=picture.media_type, data=_text(data))  # type: ignore[arg-type]
                made: Part = part.model_copy(update={"source": source})
            case DocumentBlock(source=FromFile(file_id=file_id)):
                data = self._read(file_id, place)
                made = part.model_copy(update={"source": _document(data, place)})
            case _:
                return part
        if (words := refusal_of(made)) is not None:
            raise InvalidRequest(f"{place}.source.file_id: {words}")
        return made

    def _read(self, file_id: str, place: str) -> bytes:
        found = self._files.get(checked("file", file_id), owner=self._owner)
        self._count += 1
        self._bytes += found.size_bytes
        if self._count > MOST_FILES:
            raise InvalidRequest(
                f"{place}.source.file_id: at most {MOST_FILES} files may be named in a request"
            )
        if self._bytes > MOST_BYTES:
            raise InvalidRequest(
                f"{place}.source.file_id: the files of a request may have {MOST_BYTES:,} bytes together; "
                "mount a longer one into the session"
            )
        return b"".join(self._files.pieces(found.content_id))


def _document(data: bytes, place: str) -> Pdf | PlainText:
    if data.startswith(_PDF):
        return Pdf(type="base64", media_type="application/pdf", data=_text(data))
    try:
        text = data.removeprefix(_MARK).decode()
    except UnicodeDecodeError:
        text = ""
    if not text.strip() or "\0" in text:
        raise InvalidRequest(f"{place}.source.file_id: the file is neither a PDF nor text in UTF-8")
    if len(data) > MOST_TEXT:
        raise InvalidRequest(
            f"{place}.source.file_id: a text may have {MOST_TEXT:,} bytes; mount a longer one into the session"
        )
    return PlainText(type="text", media_type="text/plain", data=text)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
