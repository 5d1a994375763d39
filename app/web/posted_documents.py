"""Documents as clients post them in a message: PDFs and texts, and pictures in the same form."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import ConfigDict, Field

from app.agent.picture_admission import MOST_CHARACTERS, decode_base64
from app.conversation.blocks import Block, base64_block, is_pdf
from app.errors import InvalidRequest
from app.web.request_models import MAX_TEXT, Name, RequestModel

SAYS_SOMETHING: Final = r"\S"
PDF: Final = "application/pdf"
MAX_PDF_CHARACTERS: Final = MOST_CHARACTERS  # of base64
MAX_TITLE: Final = 500


class DocumentSource(RequestModel):
    """`inline_data` is base64, of a document of any kind that is taken; `inline_text` is the text itself."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {
                    "required": ["inline_text"],
                    "properties": {"inline_text": {"type": "string", "pattern": SAYS_SOMETHING}},
                },
                {
                    "required": ["inline_data"],
                    "properties": {"inline_data": {"type": "string"}, "inline_text": {"type": "null"}},
                },
            ]
        }
    )

    inline_text: Annotated[str, Field(max_length=MAX_TEXT)] | None = None
    inline_data: (
        Annotated[str, Field(max_length=MAX_PDF_CHARACTERS, json_schema_extra={"format": "document-data"})]
        | None
    ) = None


class Document(RequestModel):
    """The model is told `name`."""

    name: Name | None = None
    mime_type: Name
    source: DocumentSource


def document_block(document: Document, index: int) -> Block:
    """InvalidRequest for what the model's API would refuse, with every later request: no whole PDF, no text.

    `index` is the message's place in the request.
    """
    data, text = document.source.inline_data, document.source.inline_text
    if text is None and data is None:
        raise InvalidRequest(
            f"message {index}: a document needs source.inline_text or source.inline_data", status=422
        )
    title = {"title": document.name[:MAX_TITLE]} if document.name and document.name.strip() else {}
    if document.mime_type == PDF and data is not None:
        if not is_pdf(data):
            raise InvalidRequest(
                f"message {index}: the document is no whole PDF without a password, in base64", status=422
            )
        return {**base64_block("document", PDF, data), **title}
    words = text if text is not None else _decoded(data or "", document.mime_type, index)
    if not words.strip():
        raise InvalidRequest(f"message {index}: the document is empty", status=422)
    return {
        "type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": words},
        **title,
    }


def _decoded(data: str, mime_type: str, index: int) -> str:
    try:
        words = decode_base64(data).decode()
    except ValueError:
        words = "\0"
    if "\0" in words:
        raise InvalidRequest(
            f"message {index}: documents of the type {mime_type[:100]!r} are not taken; "
            "send a PDF, a picture or a text in UTF-8",
            status=422,
        )
    return words
