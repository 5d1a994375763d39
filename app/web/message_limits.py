"""The route that tells how large a message may be, so that a page can say it before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Response
from typing_extensions import TypedDict

from app.agent import picture_admission
from app.web import posted_documents, posted_messages
from app.web.request_models import MAX_TEXT
from app.web.resource import Resource, ResponseSpec, get
from app.web.response_json import json_response


class PictureLimitsJson(TypedDict):
    """`max_characters` is one picture's base64; a larger one than `max_kept_characters` is made smaller. A message's
    pictures have `max_characters_together` then; what exceeds that, or `max_count`, is left out of the message.
    `max_side` and `max_pixels` are in pixels."""

    types: Sequence[str]
    max_characters: int
    max_kept_characters: int
    max_characters_together: int
    max_count: int
    max_side: int
    max_pixels: int


class DocumentLimitsJson(TypedDict):
    """`types` of documents that are no texts; `max_characters` is one document's base64."""

    types: Sequence[str]
    max_characters: int


class MessageLimitsJson(TypedDict):
    """`max_body_bytes` is a whole request, `max_text_characters` the text of one message."""

    max_body_bytes: int
    max_text_characters: int
    pictures: PictureLimitsJson
    documents: DocumentLimitsJson


class MessageLimitsResource(Resource):
    """Tells what a message may hold."""

    name = "messages"
    prefix = "/api"

    def __init__(self, *, max_body_bytes: int) -> None:
        self._max_body_bytes = max_body_bytes

    @get(
        "/limits",
        "How large a message may be",
        answers={200: ResponseSpec("The bounds of requests, texts and pictures.", MessageLimitsJson)},
        stores=False,
    )
    def limits(self) -> Response:
        body: MessageLimitsJson = {
            "max_body_bytes": self._max_body_bytes,
            "max_text_characters": MAX_TEXT,
            "pictures": {
                "types": posted_messages.IMAGE_TYPES,
                "max_characters": posted_messages.MAX_IMAGE_CHARACTERS,
                "max_kept_characters": picture_admission.MAX_KEPT_BYTES * 4 // 3,
                "max_characters_together": picture_admission.MOST_CHARACTERS,
                "max_count": picture_admission.MOST,
                "max_side": posted_messages.MAX_IMAGE_SIDE,
                "max_pixels": picture_admission.MAX_PIXELS,
            },
            "documents": {
                "types": [posted_documents.PDF],
                "max_characters": posted_documents.MAX_PDF_CHARACTERS,
            },
        }
        return json_response(body)
