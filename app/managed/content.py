"""Content blocks that clients of the Managed Agents API send: in messages, and in results of tools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Discriminator, Field
from pydantic_core import PydanticCustomError

from app.agent.picture_admission import PictureLimit, decode_base64
from app.agent.tools.image_header import recognise
from app.conversation.blocks import image_block, is_blank, is_pdf
from app.conversation.framing import unframed
from app.conversation.grading import outcome_in
from app.conversation.queued_message import QueuedMessage
from app.conversation.system_words import is_system, unmarked
from app.managed.bodies import SOUND, Body, Text

Json = dict[str, Any]

ImageType = Literal["image/jpeg", "image/png", "image/gif", "image/webp"]
MAX_BLOCKS: Final = 1000
_Full = Annotated[str, Field(min_length=1), SOUND]

_ELSEWHERE: Final = {
    "url": "sources of the type url are not supported here; send the data itself as base64, or upload it as a file",
}


def _carried(source: object) -> object:
    """What a block shows must come with it."""
    kind = source.get("type") if isinstance(source, dict) else None
    if isinstance(kind, str) and kind in _ELSEWHERE:
        raise PydanticCustomError("source", "{words}", {"words": _ELSEWHERE[kind]})
    return source


class TextBlock(Body):
    type: Literal["text"]
    text: _Full


class Base64Image(Body):
    type: Literal["base64"]
    media_type: ImageType
    data: _Full


class FromFile(Body):
    """The content of a file, which the server puts in its place (`app.managed.files.file_sources`)."""

    type: Literal["file"]
    file_id: Annotated[str, Field(min_length=1, max_length=64), SOUND]


class ImageBlock(Body):
    type: Literal["image"]
    source: Annotated[
        Annotated[Base64Image | FromFile, Discriminator("type")],
        BeforeValidator(_carried),
    ]


class Pdf(Body):
    type: Literal["base64"]
    media_type: Literal["application/pdf"]
    data: _Full


class PlainText(Body):
    type: Literal["text"]
    media_type: Literal["text/plain"]
    data: _Full


_DocumentSource = Annotated[
    Annotated[Pdf | PlainText | FromFile, Discriminator("type")],
    BeforeValidator(_carried),
]


class DocumentBlock(Body):
    type: Literal["document"]
    source: _DocumentSource
    title: Text | None = None
    context: Text | None = None


class SearchCitations(Body):
    enabled: bool


class SearchResultBlock(Body):
    type: Literal["search_result"]
    source: Text
    title: Text
    content: Annotated[list[TextBlock], Field(max_length=MAX_BLOCKS)]
    citations: SearchCitations


MessageBlock = Annotated[TextBlock | ImageBlock | DocumentBlock, Discriminator("type")]
ResultBlock = Annotated[TextBlock | ImageBlock | DocumentBlock | SearchResultBlock, Discriminator("type")]
Part = TextBlock | ImageBlock | DocumentBlock | SearchResultBlock
Parts = Sequence[Part]


def checked(parts: Parts) -> Parts:
    """PydanticCustomError for a picture or a document that the model's API would refuse, with every later request."""
    for place, part in enumerate(parts):
        if (words := refusal_of(part)) is not None:
            raise _refusal(place, words)
    return parts


def refusal_of(part: Part) -> str | None:
    """Why the model's API would refuse a picture or a document."""
    match part:
        case ImageBlock(source=Base64Image(data=data)) if not _is_picture(data):
            return "the image can't be read"
        case DocumentBlock(source=Pdf(data=data)) if not is_pdf(data):
            return "the document is no whole PDF without a password, in base64"
    return None


def as_json(parts: Parts) -> list[Json]:
    return [part.model_dump(exclude_none=True) for part in parts]


def for_model(parts: Parts) -> list[Json]:
    """The blocks of a message, its pictures as the model's API takes them; a remark stands for one that it refuses."""
    limit = PictureLimit()
    blocks = []
    for part in parts:
        block = part.model_dump(exclude_none=True)
        if isinstance(part, ImageBlock) and isinstance(part.source, Base64Image):
            taken = limit.take((part.source.media_type, part.source.data))
            block = {"type": "text", "text": taken} if isinstance(taken, str) else image_block(*taken)
        blocks.append(block)
    return blocks


def names_file(part: Part) -> bool:
    return isinstance(part, ImageBlock | DocumentBlock) and isinstance(part.source, FromFile)


def is_empty(parts: Parts) -> bool:
    return all(is_blank(part.model_dump()) for part in parts)


def _is_picture(data: str) -> bool:
    try:
        picture = recognise(decode_base64(data))
    except ValueError:
        return False
    return picture is not None and bool(picture.width and picture.height)


def _refusal(place: int, words: str) -> PydanticCustomError:
    return PydanticCustomError("content", "block {place}: {words}", {"place": place, "words": words})


def contents(message: QueuedMessage) -> list[Json]:
    """The blocks of a message as it was sent: without the server's own words to the model."""
    return [unmarked(block) for block in unframed(message.content)]


def kind_of(message: QueuedMessage) -> str:
    """The type of the event that tells of it."""
    if outcome_in(message.content):
        return "user.define_outcome"
    return "system.message" if all(map(is_system, message.content)) else "user.message"
