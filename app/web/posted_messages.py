"""Messages as clients post them, alone, in lists or beside other fields, and how they become our values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import AliasChoices, ConfigDict, Field, TypeAdapter, ValidationError

from app.agent.picture_admission import PictureLimit, decode_base64
from app.agent.tools.image_header import recognise
from app.conversation.blocks import Block, image_block, text_block
from app.conversation.transcript import Message
from app.errors import InvalidRequest
from app.web.posted_documents import SAYS_SOMETHING, Document, document_block
from app.web.request_body import posted_json, refusal
from app.web.request_models import MAX_TEXT, Json, Name, RequestModel

IMAGE_TYPES: Final = ("image/jpeg", "image/png", "image/gif", "image/webp")
MAX_IMAGE_CHARACTERS: Final = 10_485_760  # of base64
MAX_IMAGE_SIDE: Final = 8000  # pixels; the API refuses more, for ever
MAX_MESSAGES: Final = 1000
MAX_PARTS: Final = 1000  # of one message


class ImageUrl(RequestModel):
    """`url` is an http(s) address, or a data URL of a picture that can be read."""

    url: Annotated[
        str, Field(max_length=MAX_IMAGE_CHARACTERS + 1000, json_schema_extra={"format": "image-url"})
    ]
    detail: Name | None = None


_WHOLE_PART: Final[dict[str, Any]] = {
    "anyOf": [
        {
            "required": ["type", "text"],
            "properties": {"type": {"const": "text"}, "text": {"type": "string", "pattern": SAYS_SOMETHING}},
        },
        {
            "required": ["type", "image_url"],
            "properties": {
                "type": {"const": "image_url"},
                "image_url": {"type": "object", "required": ["url"]},
            },
        },
        {
            "required": ["type", "document"],
            "properties": {"type": {"const": "document"}, "document": {"type": "object"}},
        },
    ]
}
_WHOLE_MESSAGE: Final[dict[str, Any]] = {
    "anyOf": [
        {
            "required": ["content"],
            "properties": {
                "content": {"type": "string", "pattern": SAYS_SOMETHING},
                "multi_content": {"anyOf": [{"type": "null"}, {"type": "array", "maxItems": 0}]},
            },
        },
        {
            "required": ["multi_content"],
            "properties": {"multi_content": {"type": "array", "minItems": 1, "contains": _WHOLE_PART}},
        },
    ]
}


class Part(RequestModel):
    """A part of type `text`, `image_url` or `document`; a text of nothing but white space is left out."""

    model_config = ConfigDict(
        json_schema_extra={
            "allOf": [
                {"if": {"properties": {"type": {"const": kind}}}, "then": whole}
                for kind, whole in zip(("image_url", "document"), _WHOLE_PART["anyOf"][1:], strict=True)
            ]
        }
    )

    type: Annotated[str, Field(max_length=100, json_schema_extra={"enum": ["text", "image_url", "document"]})]
    text: Annotated[str, Field(max_length=MAX_TEXT)] | None = None
    image_url: ImageUrl | None = None
    document: Document | None = None
    file: Json | None = None


class PostedMessage(RequestModel):
    """`role` is ignored: whatever is posted was said by the user. `multi_content` counts more than `content`."""

    model_config = ConfigDict(json_schema_extra=_WHOLE_MESSAGE)

    content: Annotated[str, Field(max_length=MAX_TEXT)] | None = None
    multi_content: Annotated[list[Part], Field(max_length=MAX_PARTS)] | None = Field(
        default=None, validation_alias=AliasChoices("multi_content", "multiContent")
    )


class WrittenChat(PostedMessage):
    role: Literal["user", "assistant", "tool"]


_messages = TypeAdapter(Annotated[list[PostedMessage], Field(max_length=MAX_MESSAGES)])


@dataclass(frozen=True, slots=True)
class MessagesBody:
    """A body that is a list of messages, or an object with `messages` and, beside them, the fields of `options`."""

    exactly_one: bool = False
    options: type[RequestModel] | None = None

    def schema(self, ref_template: str) -> dict[str, Any]:
        listed = _messages.json_schema(ref_template=ref_template)
        definitions = listed.pop("$defs")
        listed |= {"minItems": 1, "maxItems": 1 if self.exactly_one else MAX_MESSAGES}
        more = self.options.model_json_schema()["properties"] if self.options else {}
        wrapped = {"type": "object", "properties": {"messages": listed, **more}, "required": ["messages"]}
        return {"anyOf": [listed, wrapped], "$defs": definitions}


def read_messages(*, exactly_one: bool = False) -> list[Message]:
    """An array of messages, or an object with `messages`, as user messages.

    Whatever the content type says it is JSON, as the contract has it. InvalidRequest for an empty list.
    """
    return messages_of(posted_json(), exactly_one=exactly_one)


def messages_of(value: Any, *, exactly_one: bool) -> list[Message]:
    if isinstance(value, dict) and "messages" in value:
        value = value["messages"]
    try:
        posted = _messages.validate_python(value)
    except ValidationError as error:
        raise refusal(error) from None
    if not posted:
        raise InvalidRequest("at least one message is required", status=422)
    if exactly_one and len(posted) > 1:
        raise InvalidRequest("send exactly one message", status=422)
    return [user_message(message, index) for index, message in enumerate(posted)]


def user_message(posted: PostedMessage, index: int) -> Message:
    blocks = content_blocks(posted.content, posted.multi_content, index)
    if not blocks:
        raise InvalidRequest(
            f"message {index} is empty; give it `content` with more than white space", status=422
        )
    return Message("user", tuple(blocks))


def content_blocks(content: str | None, parts: list[Part] | None, index: int) -> list[Block]:
    """The blocks of a message; none, if there is only white space. A remark stands for a picture that can't be
    decoded or is one too many."""
    if parts:
        limit = PictureLimit()
        return [block for part in parts if (block := _block(part, index, limit))]
    return [text_block(content)] if content and content.strip() else []


def _block(part: Part, index: int, limit: PictureLimit) -> Block | None:
    match part.type:
        case "text":
            return text_block(part.text) if part.text and part.text.strip() else None
        case "image_url" if part.image_url is not None:
            return _image(part.image_url.url, index, limit)
        case "document" if part.document is not None:
            kind, data = part.document.mime_type, part.document.source.inline_data
            if kind in IMAGE_TYPES and data is not None:
                return _image(f"data:{kind};base64,{data}", index, limit)
            return document_block(part.document, index)
    raise InvalidRequest(
        f"message {index}: parts of type {part.type[:40]!r} are not accepted; send text, image_url or document",
        status=422,
    )


def _image(url: str, index: int, limit: PictureLimit) -> Block:
    """Anything but a picture is refused here: the API would refuse it with every later request."""
    if re.match(r"https?://\S+$", url):
        return {"type": "image", "source": {"type": "url", "url": url}}
    match = re.match(r"data:([\w/+.-]+)(?:;[\w.=-]+)*;base64,", url[:200])
    if match is None or match[1] not in IMAGE_TYPES:
        raise InvalidRequest(
            f"message {index}: an image must be an http(s) URL or a data URL of {', '.join(IMAGE_TYPES)}",
            status=422,
        )
    if len(url) - match.end() > MAX_IMAGE_CHARACTERS:
        raise InvalidRequest(f"message {index}: the image is too large; 10 MB is the limit", status=422)
    try:
        picture = recognise(decode_base64(url))
    except ValueError:
        picture = None
    if picture is None or not picture.width or not picture.height:
        raise InvalidRequest(f"message {index}: the image can't be read", status=422)
    if max(picture.width, picture.height) > MAX_IMAGE_SIDE:
        raise InvalidRequest(
            f"message {index}: the image is larger than {MAX_IMAGE_SIDE} pixels a side", status=422
        )
    taken = limit.take((picture.media_type, url))
    return text_block(taken) if isinstance(taken, str) else image_block(*taken)
